package bolt

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// errPanicked marks an operation that panicked; it alone fails.
var errPanicked = errors.New("panic")

// write commits a batch. Each operation has its own verdict in err afterwards.
func (s *Store) write(batch []*op) {
	todo := batch
	for attempt := 0; len(todo) > 0; attempt++ {
		again, err := s.try(todo)
		if err == nil && again == nil {
			return
		}
		if err == nil { // a panic of one operation: the others once more
			todo = again
			continue
		}
		todo = s.afterFailure(todo, err, attempt)
	}
}

// failure is a transaction that could not be committed.
type failure struct {
	txid int
	err  error
	t    *txn
}

// try runs the operations in one transaction. It returns those to be run again
// where one panicked, or the failure of the commit.
func (s *Store) try(ops []*op) (again []*op, failed *failure) {
	s.dbmu.RLock()
	defer s.dbmu.RUnlock()
	if s.db == nil {
		return nil, &failure{err: errors.New("the file is not open")}
	}
	tx, err := s.begin()
	if err != nil {
		return nil, &failure{err: err}
	}
	t := s.newTxn(tx)
	wrote := false
	for i, o := range ops {
		o.err = t.run(o)
		if errors.Is(o.err, errPanicked) {
			s.opts.Log.Error("a write panicked; it failed alone", slog.String("op", o.name), slog.Any("error", o.err))
			_ = rollback(tx)
			return append(append([]*op{}, ops[:i]...), ops[i+1:]...), nil
		}
		wrote = wrote || o.err == nil
	}
	if !wrote {
		_ = rollback(tx)
		return nil, nil
	}
	txid := tx.ID()
	if err := t.commit(); err != nil {
		_ = rollback(tx)
		return nil, &failure{txid: txid, err: err, t: t}
	}
	s.wroteAt.Store(time.Now().UnixNano())
	t.apply()
	return nil, nil
}

func (s *Store) begin() (tx *bbolt.Tx, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("begin: %v", p)
		}
	}()
	return s.db.Begin(true)
}

// rollback ends a transaction, also one that a panic left behind.
func rollback(tx *bbolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("roll back: %v", p)
		}
	}()
	return tx.Rollback()
}

// afterFailure finds out what a failed commit left behind, gives every
// operation its verdict, and returns those to be tried again.
//
// bbolt writes the pages, syncs, writes the meta page, syncs. Where the failure
// came before the meta page, nothing happened. Where it came behind it, the
// transaction is visible but perhaps not durable; a further commit settles
// that, and if it fails too, the effect is unknown until the disk recovers. The
// file is opened again in any case: after a failed sync or a failed growth of
// the mapping nothing that bbolt has in memory is relied on.
func (s *Store) afterFailure(ops []*op, f *failure, attempt int) []*op {
	visible, err := s.reopen(f.txid)
	if err != nil {
		s.opts.Log.Error("the queue cannot be opened again", slog.String("path", s.path), slog.Any("error", err))
	}
	full := ioFault("write queue", s.path, f.err)
	if visible {
		if s.settle() == nil {
			f.t.apply()
			return nil
		}
		fail(ops, fault.New(fault.Unknown, "write queue", s.path, f.err).
			WithHint("repair the disk; the agent looks again at every job when it starts"))
		s.setFull(full)
		if err := s.rebuild(); err != nil {
			s.opts.Log.Error("the queue cannot be read", slog.String("path", s.path), slog.Any("error", err))
		}
		return nil
	}
	// The reserve is for what finishes work; new work waits for room.
	s.setFull(full)
	if err == nil && attempt == 0 && s.releaseReserve() {
		var rest []*op
		for _, o := range ops {
			if o.grows {
				fail([]*op{o}, full)
			} else {
				rest = append(rest, o)
			}
		}
		return rest
	}
	fail(ops, full)
	return nil
}

// fail gives the verdict to the operations that had none of their own.
func fail(ops []*op, err error) {
	for _, o := range ops {
		if o.err == nil {
			o.err = err
		}
	}
}

// reopen closes the file and opens it again. It reports whether the transaction
// with that id is what the file now shows.
func (s *Store) reopen(txid int) (visible bool, err error) {
	s.dbmu.Lock()
	defer s.dbmu.Unlock()
	if s.db != nil {
		_ = s.db.Close() // whatever it says, the file is opened anew
		s.db = nil
	}
	db, err := openFile(s.path)
	if err != nil {
		return false, err
	}
	s.db = db
	if txid == 0 {
		return false, nil
	}
	err = db.View(func(tx *bbolt.Tx) error {
		visible = tx.ID() >= txid
		return nil
	})
	return visible, err
}

// settle makes what is visible durable by a further commit.
func (s *Store) settle() error {
	s.dbmu.RLock()
	defer s.dbmu.RUnlock()
	tx, err := s.begin()
	if err != nil {
		return err
	}
	defer func() { _ = rollback(tx) }() // after the commit it does nothing
	if err := putProbe(tx); err != nil {
		return err
	}
	return safely(tx.Commit)
}

func safely(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	return fn()
}

func (s *Store) setFull(err *fault.Error) {
	if s.full.Swap(err) == nil && err != nil {
		s.opts.Log.Error("the queue takes no new work", slog.Any("error", err), slog.String("hint", hintSpace))
	}
}

func (s *Store) clearFull() {
	if s.full.Swap(nil) != nil {
		s.opts.Log.Info("the queue takes work again", slog.String("path", s.path))
	}
}
