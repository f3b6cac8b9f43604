package bolt

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// migrate makes the buckets of a new file, and refuses a file of a newer
// version before anything is changed. There is one version so far; a migration
// to the next starts with a copy of the file (see copyTo).
func (s *Store) migrate() error {
	var version string
	var check []byte
	err := s.view("open queue", func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte(bktMeta)); b != nil {
			version = string(b.Get([]byte(keySchema)))
			check = append(check, b.Get([]byte(keyCheck))...)
			if version == "" {
				return corruptFile(s.path, errors.New("it names no schema version"))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if version == "" {
		return s.create()
	}
	n, err := strconv.Atoi(version)
	switch {
	case err != nil || n < 1:
		return corruptFile(s.path, fmt.Errorf("schema version %q", version))
	case n > schemaVersion:
		return fault.New(fault.Conflict, "open queue", s.path,
			fmt.Errorf("%w: schema %d, this program reads up to %d", queue.ErrNewer, n, schemaVersion)).
			WithHint("install the version that wrote the file, or a newer one")
	}
	if subtle.ConstantTimeCompare(check, s.keyCheck()) != 1 {
		return fault.New(fault.Invalid, "open queue", s.path, errors.New("the state key is not the one that sealed it")).
			WithHint("restore the state key that belongs to this state folder, or move the queue aside")
	}
	return nil
}

// keyCheck is a value by which the state key is recognised; it tells nothing
// about the key.
func (s *Store) keyCheck() []byte {
	check, err := hkdf.Key(sha256.New, s.opts.Key, nil, "sallyport queue key check", 16)
	if err != nil {
		return nil // never for 16 bytes
	}
	return check
}

func (s *Store) create() error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range allBuckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bktMeta))
		if err := meta.Put([]byte(keyCheck), s.keyCheck()); err != nil {
			return err
		}
		return meta.Put([]byte(keySchema), []byte(strconv.Itoa(schemaVersion)))
	})
	if err != nil {
		return ioFault("create queue", s.path, err)
	}
	if err := syncDir(s.opts.Dir); err != nil {
		return ioFault("create queue", s.opts.Dir, err)
	}
	return nil
}

// newEpoch stores the salt of this opening; from here on bodies can be sealed.
func (s *Store) newEpoch() error {
	salt := newSalt()
	var epoch uint32
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bktSalts))
		if last, _ := b.Cursor().Last(); len(last) == 4 {
			epoch = binary.BigEndian.Uint32(last)
		}
		epoch++
		b.FillPercent = 1
		return b.Put(gidKey(epoch), salt)
	})
	if err != nil {
		return ioFault("open queue", s.path, err)
	}
	s.seal = &sealer{key: s.opts.Key, epoch: epoch, aeads: map[uint32]cipher.AEAD{}, salt: s.saltOf}
	_, err = s.seal.aead(epoch)
	return err
}

// saltOf reads a salt from the file. It is called before and outside of write
// transactions only.
func (s *Store) saltOf(epoch uint32) (salt []byte, err error) {
	err = s.view("read body", func(tx *bbolt.Tx) error {
		v := tx.Bucket([]byte(bktSalts)).Get(gidKey(epoch))
		if len(v) != saltBytes {
			return errSeal
		}
		salt = append(salt, v...)
		return nil
	})
	return salt, err
}
