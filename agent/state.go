package agent

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue/bolt"
)

func stateError(what, path string, err error) error {
	return fault.New(fault.Unavailable, what, path, err).
		WithHint("check that the agent's account owns the state folder and that its disk has room")
}

// stateKey returns the key that seals what the state folder holds, and makes it
// at the first start. It lies beside what it seals: it protects copies of the
// queue, not a stolen folder.
func stateKey(dir string) ([]byte, error) {
	return keepRandom(filepath.Join(dir, "state.key"), bolt.KeyBytes)
}

// installation returns the name under which this installation claims work: the
// host, and a number that is made at the first start.
func installation(dir string) (string, error) {
	id, err := keepRandom(filepath.Join(dir, "installation"), 4)
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "host"
	}
	return "sallyport " + host + " " + hex.EncodeToString(id), nil
}

// keepRandom returns the random bytes of a file, and makes them where there is
// none. The file appears whole or not at all.
func keepRandom(path string, size int) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		key, err := hex.DecodeString(string(data))
		if err != nil || len(key) != size {
			return nil, fault.New(fault.Internal, "read", path, errors.New("it is cut or changed")).
				WithHint("restore the file from a backup; without it the queue beside it cannot be read")
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, stateError("read", path, err)
	}
	key := make([]byte, size)
	if _, err := rand.Read(key); err != nil {
		return nil, stateError("make", path, err)
	}
	if err := writeFile(path, []byte(hex.EncodeToString(key))); err != nil {
		return nil, stateError("write", path, err)
	}
	return key, nil
}
