package bolt

import (
	"os"

	bbolt "go.etcd.io/bbolt"
)

// aheadBytes is how far the file is written ahead of the pages in use, and
// aheadLeast how far at the least: what the largest commits grow by.
const (
	aheadBytes = 2 << 20
	aheadLeast = 1 << 20
)

// fillAhead writes zeros behind the last page in use. The file grows by holes,
// and a page that is written into a hole makes its sync wait for the file
// system's own journal: many times as long as one for blocks that are there.
//
// It runs in the writer's goroutine, between transactions: nobody else writes,
// and behind the last page in use nobody reads. What goes wrong is left to the
// next commit to find.
func (s *Store) fillAhead() {
	if s.full.Load() != nil {
		return
	}
	s.dbmu.RLock() // the file stays open, and the one of that name
	defer s.dbmu.RUnlock()
	if s.db == nil {
		return
	}
	var used int64
	if s.db.View(func(tx *bbolt.Tx) error {
		used = tx.Size()
		return nil
	}) != nil {
		return
	}
	if s.ahead >= used+aheadLeast {
		return
	}
	from, to := max(used, s.ahead), min(used+aheadBytes, s.fileSize())
	if from >= to {
		return
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // the next commit syncs the file
	if n, err := f.WriteAt(make([]byte, to-from), from); err == nil {
		s.ahead = from + int64(n)
	}
}
