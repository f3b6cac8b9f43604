package bolt

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// inlineBytes is the size up to which a body is kept in the database file.
const inlineBytes = 64 << 10

const tempSuffix = ".tmp"

// bodyFiles is the folder of the bodies that are too large for the database
// file. A file is complete and durable, and so is its name, before the
// transaction that refers to it is committed; it is removed only after the
// transaction that forgets it.
type bodyFiles struct {
	dir string
	key []byte
	// trace, where a test sets it, is told of every durable step.
	trace func(event, name string)
}

func (b *bodyFiles) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bodyFiles) note(event, name string) {
	if b.trace != nil {
		b.trace(event, name)
	}
}

// bodyWriter is a body file under way.
type bodyWriter struct {
	files *bodyFiles
	name  string
	f     *os.File
	w     *streamWriter
}

func (b *bodyFiles) create() (*bodyWriter, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	name := hex.EncodeToString(random[:])
	f, err := os.OpenFile(b.path(name+tempSuffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w, err := newStreamWriter(f, b.key, name)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &bodyWriter{files: b, name: name, f: f, w: w}, nil
}

// finish makes the file durable under its name.
func (w *bodyWriter) finish() error {
	if err := w.w.close(); err != nil {
		return errors.Join(err, w.discard())
	}
	if err := w.f.Sync(); err != nil {
		return errors.Join(err, w.discard())
	}
	if err := w.f.Close(); err != nil {
		return errors.Join(err, w.discard())
	}
	w.files.note("synced", w.name)
	if err := os.Rename(w.f.Name(), w.files.path(w.name)); err != nil {
		return errors.Join(err, w.discard())
	}
	if err := syncDir(w.files.dir); err != nil {
		return errors.Join(err, w.files.remove(w.name))
	}
	w.files.note("named", w.name)
	return nil
}

func (w *bodyWriter) discard() error {
	_ = w.f.Close() // a second close changes nothing
	return os.Remove(w.f.Name())
}

// write makes a durable file of a body that is in memory.
func (b *bodyFiles) write(body []byte) (string, error) {
	w, err := b.create()
	if err != nil {
		return "", err
	}
	if _, err := w.w.Write(body); err != nil {
		return "", errors.Join(err, w.discard())
	}
	return w.name, w.finish()
}

func (b *bodyFiles) open(name string) (io.ReadCloser, error) {
	f, err := os.Open(b.path(name))
	if err != nil {
		return nil, err
	}
	r, err := newStreamReader(f, b.key, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// remove removes a file that nothing refers to; what cannot be removed now is
// an orphan that the next opening removes.
func (b *bodyFiles) remove(name string) error {
	b.note("removed", name)
	if err := os.Remove(b.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweep removes what no body refers to: files of a crash, and spools that were
// never used.
func (b *bodyFiles) sweep(known func(name string) bool) error {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || known(e.Name()) {
			continue
		}
		if name := strings.TrimSuffix(e.Name(), tempSuffix); len(name) != 32 {
			continue // not one of ours
		}
		if err := os.Remove(b.path(e.Name())); err != nil {
			return fmt.Errorf("remove what a crash left: %w", err)
		}
	}
	return nil
}
