package bolt

import (
	"context"
	"errors"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// promoteStep is how many due jobs one transaction makes ready.
const promoteStep = 1000

// Lease returns the first job that may run in a slot that is free, or nil.
func (s *Store) Lease(ctx context.Context, free queue.Free) (*queue.Job, error) {
	if s.writer.isClosed() {
		return nil, closed("lease job")
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fault.New(fault.Canceled, "lease job", "", err)
	}
	if err := s.promote(ctx); err != nil {
		return nil, err
	}
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := 0; i < len(x.order); {
		g := x.order[i]
		if len(g.keys) > 0 && !free(g.slot) {
			i++
			continue
		}
		job, err := s.leaseFrom(g)
		if job != nil || err != nil {
			return job, err
		}
		if i < len(x.order) && x.order[i] == g && len(g.keys) == 0 && !g.more {
			i++ // cannot be: place removed it
		}
	}
	return nil, nil //nolint:nilnil // no job is no error, as the contract says
}

// leaseFrom takes the first job of a group. It returns nil where that key was
// stale or broken, or where the window had to be read on: the caller looks at
// the order anew.
func (s *Store) leaseFrom(g *group) (job *queue.Job, err error) {
	x := s.index
	err = s.view("lease job", func(tx *bbolt.Tx) error {
		if len(g.keys) == 0 {
			x.load(tx, g)
			return nil
		}
		key := g.keys[0]
		g.keys = g.keys[1:]
		if len(g.keys) == 0 && g.more {
			x.load(tx, g)
		}
		seq := seqOf([]byte(key))
		var j queue.Job
		var r record
		if err := loadOpen(tx, seq, &j, &r); err != nil {
			s.setAside(g.gid, key, seq, err)
			return nil
		}
		if r.place != inReady || r.gid != g.gid || string(r.order) != key {
			return nil // it changed state; the change is about to be applied
		}
		x.leased[seq] = lease{gid: g.gid, key: key, id: j.ID, tx: tx.ID()}
		x.ids[j.ID] = seq
		job = &j
		return nil
	})
	x.place(g)
	return job, err
}

// loadOpen reads an open job.
func loadOpen(tx *bbolt.Tx, seq uint64, j *queue.Job, r *record) error {
	key := seqKey(seq)
	status, job := tx.Bucket([]byte(bktStatus)).Get(key), tx.Bucket([]byte(bktJobs)).Get(key)
	if status == nil || job == nil {
		return errMissing
	}
	if err := decodeRecord(seq, status, r); err != nil {
		return err
	}
	if err := decodeJob(seq, job, j); err != nil {
		return err
	}
	j.Status = r.status
	r.order = slices.Clone(r.order)
	return nil
}

var errMissing = errors.New("a part of the record is missing")

// promote makes ready what became due. It is a write, so that what waits by the
// million needs no memory; on a full disk those jobs wait on.
func (s *Store) promote(ctx context.Context) error {
	for {
		due, now := s.NextDue(), s.opts.Now()
		if due.IsZero() || due.After(now) {
			return nil
		}
		err := s.submit(ctx, &op{name: "lease job", size: promoteStep * 64, do: func(t *txn) error {
			t.promote(now)
			return nil
		}})
		switch {
		case errors.Is(err, queue.ErrFull):
			return nil
		case err != nil:
			return err
		}
	}
}

func (t *txn) promote(now time.Time) {
	var keys [][]byte
	c := t.bucket(bktDue).Cursor()
	for k, _ := c.First(); k != nil && len(keys) < promoteStep && !dueTime(k).After(now); k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		t.del(bktDue, k)
		seq := seqOf(k)
		var r record
		if decodeRecord(seq, t.bucket(bktStatus).Get(seqKey(seq)), &r) != nil || r.place != inDue {
			continue // Unfinished reports what is broken
		}
		r.order = slices.Clone(r.order)
		t.ready(seq, &r)
		t.put(bktStatus, seqKey(seq), encodeRecord(seq, &r))
	}
	t.finDue = true
}

// Unlease gives a leased job back unchanged; of any other it does nothing.
func (s *Store) Unlease(id queue.ID) {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	seq, ok := x.ids[id]
	if !ok {
		return
	}
	l := x.unlease(seq)
	if g := x.groups[l.gid]; g != nil {
		g.insert(l.key)
		x.place(g)
		x.wake()
	}
}

// Changed returns a channel that is closed at the next change that could let a
// Lease succeed.
func (s *Store) Changed() <-chan struct{} {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return s.index.changed
}

// NextDue returns when the next waiting or held job becomes due; zero: none.
// What a Lease found to be due already is not counted any more.
// Leased jobs do not count.
func (s *Store) NextDue() (due time.Time) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	if len(s.index.later) == 0 {
		s.cmu.Lock()
		defer s.cmu.Unlock()
		return s.counts.nextDue
	}
	_ = s.view("look for due jobs", func(tx *bbolt.Tx) error { // without an answer: none
		c := tx.Bucket([]byte(bktDue)).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if _, leased := s.index.later[seqOf(k)]; !leased {
				due = dueTime(k)
				break
			}
		}
		return nil
	})
	return due
}
