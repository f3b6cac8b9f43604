package bolt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sallyport-agent/sallyport/queue"
)

// KeyBytes is the length of Options.Key.
const KeyBytes = 32

const saltBytes = 32

var errSeal = errors.New("it was changed, or was sealed with another key")

// sealer seals bodies with AES-256-GCM. Each opening of the store draws a salt
// and derives a key of its own from the state key (HKDF, RFC 5869), and counts
// nonces up under it: no nonce is ever used twice under one key, however many
// bodies are sealed, and also where a store was restored from a copy. A sealed
// value is epoch (4), counter (8), ciphertext and tag.
type sealer struct {
	key   []byte
	salt  func(epoch uint32) ([]byte, error)
	epoch uint32 // of this opening
	count atomic.Uint64

	mu    sync.Mutex
	aeads map[uint32]cipher.AEAD
}

func newSalt() []byte {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return salt
}

// maxAEADs bounds the ciphers that are kept; one more only costs a derivation.
const maxAEADs = 64

func (s *sealer) aead(epoch uint32) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.aeads[epoch]; a != nil {
		return a, nil
	}
	salt, err := s.salt(epoch)
	if err != nil {
		return nil, err
	}
	a, err := deriveAEAD(s.key, salt, "sallyport queue body")
	if err != nil {
		return nil, err
	}
	if len(s.aeads) >= maxAEADs {
		clear(s.aeads)
	}
	s.aeads[epoch] = a
	return a, nil
}

func deriveAEAD(key, salt []byte, info string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, salt, info, KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return cipher.NewGCM(block)
}

func bodyData(id queue.ID, part queue.Part, kind byte) []byte {
	return append([]byte{byte(part), kind}, id...)
}

// seal returns head, then the sealed body.
func (s *sealer) seal(head byte, id queue.ID, part queue.Part, body []byte) ([]byte, error) {
	a, err := s.aead(s.epoch)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1, 1+12+len(body)+a.Overhead())
	out[0] = head
	out = binary.BigEndian.AppendUint32(out, s.epoch)
	out = binary.BigEndian.AppendUint64(out, s.count.Add(1))
	return a.Seal(out, out[1:13], body, bodyData(id, part, head)), nil
}

// open returns the head and the body of what seal made for that job and part.
func (s *sealer) open(id queue.ID, part queue.Part, b []byte) (head byte, body []byte, err error) {
	if len(b) < 13 {
		return 0, nil, errDecode
	}
	a, err := s.aead(binary.BigEndian.Uint32(b[1:]))
	if err != nil {
		return 0, nil, err
	}
	body, err = a.Open(nil, b[1:13], b[13:], bodyData(id, part, b[0]))
	if err != nil {
		return 0, nil, errSeal
	}
	return b[0], body, nil
}
