package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// compactStep is how many bytes one transaction of a copy writes.
const compactStep = 8 << 20

// Compact copies a store that no agent uses into a file without free pages and
// puts that in its place. It returns the sizes before and after. A crash leaves
// the old file or the new one, both whole; an error leaves the old one.
func Compact(ctx context.Context, opts Options) (before, after int64, err error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return 0, 0, err
	}
	s := &Store{opts: opts, path: filepath.Join(opts.Dir, fileName)}
	if _, err := os.Stat(s.path); err != nil {
		return 0, 0, fault.New(fault.Invalid, "compact queue", s.path, err).WithHint("check state_dir of the configuration")
	}
	if s.db, err = openFile(s.path); err != nil {
		return 0, 0, err
	}
	if err := writePID(opts.Dir); err != nil {
		return 0, 0, errors.Join(ioFault("compact queue", opts.Dir, err), s.db.Close())
	}
	defer removePID(opts.Dir)
	if err := s.migrate(); err != nil {
		return 0, 0, errors.Join(err, s.db.Close())
	}
	before = s.fileSize()
	temp := s.path + tempSuffix
	if err := copyTo(ctx, temp, s.db); err != nil {
		_ = os.Remove(temp)
		return before, before, errors.Join(ioFault("compact queue", temp, err), s.db.Close())
	}
	if err := s.replace(temp); err != nil {
		_ = os.Remove(temp)
		return before, before, ioFault("compact queue", s.path, err)
	}
	return before, s.fileSize(), nil
}

// copyTo copies a database into a new file that is durable on return.
func copyTo(ctx context.Context, path string, src *bbolt.DB) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	dst, err := openFile(path)
	if err != nil {
		return err
	}
	dst.NoSync = true
	err = safely(func() error { return bbolt.Compact(dst, src, compactStep) })
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// replace puts the copy in the place of the file. Where open files can be
// renamed over, the lock is held until the copy has the name, and openFile finds
// out that it waited for the wrong file. Windows renames no open file: there the
// lock is given back just before, and an agent that starts in that moment makes
// the rename fail.
func (s *Store) replace(temp string) error {
	if !renamesOpenFiles {
		if err := s.db.Close(); err != nil {
			return err
		}
		return os.Rename(temp, s.path)
	}
	err := os.Rename(temp, s.path)
	if err == nil {
		err = syncDir(s.opts.Dir)
	}
	return errors.Join(err, s.db.Close())
}
