package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

const (
	reserveName     = "reserve"
	maxReserveBytes = 16 << 20
	spaceEvery      = time.Second
	// probeEvery is how long a commit vouches for the disk: an agent that asks at
	// every poll must not write at every poll.
	probeEvery = 10 * time.Second
)

// Health returns nil, or why the store takes no new work: the disk is nearly
// full or the store at its bound (then jobs still finish), or a small durable
// write fails. The write is left out where another one succeeded within the
// last ten seconds: a disk that failed since shows itself at the next write.
func (s *Store) Health(ctx context.Context) error {
	if s.writer.isClosed() {
		return closed("check queue")
	}
	s.healthMu.Lock()
	defer s.healthMu.Unlock()
	if err := s.lowSpace(); err != nil {
		return err
	}
	if s.full.Load() == nil && s.wroteLately() {
		return nil
	}
	if err := s.submit(ctx, &op{name: "check queue", size: 64, do: func(t *txn) error { return putProbe(t.tx) }}); err != nil {
		return err
	}
	if err := s.makeReserve(); err != nil {
		f := ioFault("reserve disk space", s.opts.Dir, err)
		s.setFull(f)
		return f
	}
	s.clearFull()
	return nil
}

// wroteLately reports whether a commit vouches for the disk. A clock that was
// set back vouches for nothing.
func (s *Store) wroteLately() bool {
	since := time.Now().UnixNano() - s.wroteAt.Load()
	return since >= 0 && since < int64(probeEvery)
}

func putProbe(tx *bbolt.Tx) error {
	return tx.Bucket([]byte(bktMeta)).Put([]byte(keyProbe), fmt.Appendf(nil, "%d", tx.ID()))
}

// room refuses new work where Health would. It looks at the disk at most once
// a second, and tries the disk where it was full.
func (s *Store) room(ctx context.Context) error {
	if s.full.Load() != nil {
		return s.Health(ctx)
	}
	now := time.Now().UnixNano()
	last := s.spaceAt.Load()
	if now-last < int64(spaceEvery) && now >= last && !s.spaceLow.Load() {
		return nil
	}
	err := s.lowSpace()
	s.spaceLow.Store(err != nil)
	s.spaceAt.Store(now)
	return err
}

// lowSpace returns ErrFull where the disk or the store is at its bound.
func (s *Store) lowSpace() error {
	if s.opts.MaxBytes > 0 {
		if used := s.Counts().Bytes; used >= s.opts.MaxBytes {
			return fault.New(fault.Unavailable, "check queue", s.opts.Dir,
				fmt.Errorf("%w: it holds %d bytes, %d are allowed", queue.ErrFull, used, s.opts.MaxBytes)).
				WithHint("wait until reports are delivered, or raise max_bytes of [queue]")
		}
	}
	if s.opts.FreeReserve <= 0 {
		return nil
	}
	free, err := freeBytes(s.opts.Dir)
	if err != nil {
		return ioFault("check disk space", s.opts.Dir, err)
	}
	if free < s.opts.FreeReserve {
		return ioFault("check disk space", s.opts.Dir,
			fmt.Errorf("%d bytes are free, %d are wanted", free, s.opts.FreeReserve))
	}
	return nil
}

// makeReserve fills a file that gives room to finish the running jobs when the
// disk is full. It holds bytes, not a hole, or it would reserve nothing.
func (s *Store) makeReserve() error {
	want := min(s.opts.FreeReserve/4, maxReserveBytes)
	path := filepath.Join(s.opts.Dir, reserveName)
	if want <= 0 {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.Size() == want {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(fillFile(f, want), f.Close())
	if err != nil {
		_ = os.Remove(path) // half a reserve is none
	}
	return err
}

// releaseReserve gives the reserved space back to the disk, and reports whether
// there was any.
func (s *Store) releaseReserve() bool {
	return os.Remove(filepath.Join(s.opts.Dir, reserveName)) == nil
}

func writeZeros(f *os.File, n int64) error {
	zeros := make([]byte, 256<<10)
	for n > 0 {
		k, err := f.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

func (s *Store) fileSize() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// usedBytes returns the size of the pages in use. The file is larger: it grows
// ahead, and free pages are used again before it grows.
func (s *Store) usedBytes() int64 {
	tx, err := s.db.Begin(false)
	if err != nil {
		return 0
	}
	size := tx.Size()
	_ = tx.Rollback() // of a read: nothing to undo
	stats := s.db.Stats()
	return max(size-int64(stats.FreePageN+stats.PendingPageN)*int64(s.db.Info().PageSize), 0)
}
