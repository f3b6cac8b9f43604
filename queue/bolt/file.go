package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

const (
	fileName    = "queue.db"
	pidName     = "queue.pid"
	lockTimeout = time.Second
)

// openFile opens the database file and takes its lock. While it waited for the
// lock, Compact may have put another file in its place: then that one is opened.
func openFile(path string) (*bbolt.DB, error) {
	for {
		db, file, err := openOnce(path)
		if err != nil {
			return nil, err
		}
		locked, err := file.Stat()
		if err != nil {
			return nil, errors.Join(ioFault("open queue", path, err), db.Close())
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(locked, named) {
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, ioFault("open queue", path, err)
		}
	}
}

// openOnce opens the file that has the name now. bbolt panics on some broken files, and reading behind the end of a torn one faults: both become an
// error, and the lock is given back.
func openOnce(path string) (db *bbolt.DB, file *os.File, err error) {
	opts := &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: false,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			file = f
			return f, err
		},
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if file != nil {
				unlock(file) // closing is not enough: a mapping that is left keeps the lock
				_ = file.Close()
			}
			db, file, err = nil, nil, corruptFile(path, fmt.Errorf("%v", p))
		}
	}()
	db, err = bbolt.Open(path, 0o600, opts)
	if err != nil {
		return nil, nil, openFault(path, err)
	}
	if err := checkSize(db, path); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, file, nil
}

// checkSize finds a file that was cut: its pages reach behind its end.
func checkSize(db *bbolt.DB, path string) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(path)
		if err != nil {
			return ioFault("open queue", path, err)
		}
		if tx.Size() > info.Size() {
			return corruptFile(path, fmt.Errorf("the file has %d bytes, its pages need %d", info.Size(), tx.Size()))
		}
		return nil
	})
}

func openFault(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fault.New(fault.Conflict, "open queue", path, fmt.Errorf("%w%s", queue.ErrLocked, holder(filepath.Dir(path)))).
			WithHint("stop the other agent of this state folder, or give this one its own state_dir")
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return corruptFile(path, err)
	case strings.HasPrefix(err.Error(), "file size too small"): // bbolt has no value for it
		return corruptFile(path, err)
	default:
		return ioFault("open queue", path, err)
	}
}

func corruptFile(path string, err error) error {
	return fault.New(fault.Internal, "open queue", path, fmt.Errorf("the file is corrupt: %w", err)).
		WithHint("move the file aside and keep it, restore it from a copy or start without it; " +
			"jobs that were running are then adopted from the instance")
}

// holder names the process that wrote the pid file; the lock itself is bbolt's.
func holder(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, pidName))
	if err != nil || len(b) > 20 {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return " (pid " + strconv.Itoa(pid) + ")"
}

func writePID(dir string) error {
	return os.WriteFile(filepath.Join(dir, pidName), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
}

func removePID(dir string) { _ = os.Remove(filepath.Join(dir, pidName)) } // of no use, but of no harm either

// view reads in one transaction. A fault while reading a mapped page (a failing
// disk) is an error, not the end of the process.
func (s *Store) view(op string, fn func(*bbolt.Tx) error) (err error) {
	s.dbmu.RLock()
	defer s.dbmu.RUnlock()
	if s.db == nil {
		if s.writer.isClosed() {
			return closed(op)
		}
		return ioFault(op, s.path, errors.New("the file could not be opened again"))
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Unavailable, op, s.path, fmt.Errorf("read: %v", p)).WithHint(hintSpace)
		}
	}()
	return s.db.View(fn)
}
