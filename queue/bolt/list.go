package bolt

import (
	"context"
	"errors"
	"iter"
	"math"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/queue"
)

// listStep is how many jobs one read transaction yields from. No transaction is
// open while the caller looks at a job: it may write meanwhile.
const listStep = 256

// found is one step of an iteration.
type found struct {
	seq uint64
	job queue.Job
	err error
}

// Undelivered returns finished jobs, oldest outcome first, at most limit.
func (s *Store) Undelivered(ctx context.Context, limit int) ([]queue.Job, error) {
	if err := s.readable(ctx, "read undelivered jobs"); err != nil {
		return nil, err
	}
	var jobs []queue.Job
	var broken []found
	err := s.view("read undelivered jobs", func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bktFinished)).Cursor()
		for k, v := c.First(); k != nil && len(jobs) < limit; k, v = c.Next() {
			var j queue.Job
			var r record
			if err := loadOpen(tx, seqOf(v), &j, &r); err != nil {
				broken = append(broken, found{seq: seqOf(v), err: err})
				continue
			}
			jobs = append(jobs, j)
		}
		return nil
	})
	for _, f := range broken {
		s.setAside(0, "", f.seq, f.err)
	}
	return jobs, err
}

// Unfinished yields every job that is not final, in the order it was put, and
// an error for every record that is broken, those kept aside first.
func (s *Store) Unfinished(ctx context.Context) iter.Seq2[queue.Job, error] {
	return func(yield func(queue.Job, error) bool) {
		for key, why := range s.Quarantined(ctx) {
			if !yield(queue.Job{}, brokenRecord("read job", key, why)) {
				return
			}
		}
		s.each(ctx, yield, func(tx *bbolt.Tx, from uint64) []found {
			var out []found
			c := tx.Bucket([]byte(bktStatus)).Cursor()
			for k, _ := c.Seek(seqKey(from)); k != nil && len(out) < listStep; k, _ = c.Next() {
				f := found{seq: seqOf(k)}
				var r record
				f.err = loadOpen(tx, f.seq, &f.job, &r)
				out = append(out, f)
			}
			return out
		}, 0, func(seq uint64) (uint64, bool) { return seq + 1, true })
	}
}

// List yields jobs, the newest first, final ones included.
func (s *Store) List(ctx context.Context) iter.Seq2[queue.Job, error] {
	return func(yield func(queue.Job, error) bool) {
		s.each(ctx, yield, func(tx *bbolt.Tx, from uint64) []found {
			open, done := tx.Bucket([]byte(bktStatus)).Cursor(), tx.Bucket([]byte(bktDone)).Cursor()
			a, b := seekBack(open, from), seekBack(done, from)
			var out []found
			for (a != 0 || b != 0) && len(out) < listStep {
				f := found{seq: max(a, b)}
				f.job, f.err = load(tx, f.seq)
				out = append(out, f)
				if a == f.seq {
					a = prev(open)
				}
				if b == f.seq {
					b = prev(done)
				}
			}
			return out
		}, math.MaxUint64, func(seq uint64) (uint64, bool) { return seq - 1, seq > 1 })
	}
}

// seekBack returns the last seq that is not above from; 0: none.
func seekBack(c *bbolt.Cursor, from uint64) uint64 {
	k, _ := c.Seek(seqKey(from))
	if k == nil {
		k, _ = c.Last()
	} else if seqOf(k) > from {
		k, _ = c.Prev()
	}
	return seqOf(k)
}

func prev(c *bbolt.Cursor) uint64 {
	k, _ := c.Prev()
	return seqOf(k)
}

// each yields what window returns, window after window; next says where the
// window behind a seq begins.
func (s *Store) each(ctx context.Context, yield func(queue.Job, error) bool,
	window func(tx *bbolt.Tx, from uint64) []found, from uint64, next func(uint64) (uint64, bool),
) {
	for more := true; more; {
		if err := s.readable(ctx, "read jobs"); err != nil {
			yield(queue.Job{}, err)
			return
		}
		var out []found
		if err := s.view("read jobs", func(tx *bbolt.Tx) error {
			out = window(tx, from)
			return nil
		}); err != nil {
			yield(queue.Job{}, err)
			return
		}
		if len(out) == 0 {
			return
		}
		for i := range out {
			f := &out[i]
			if f.err != nil {
				s.setAside(0, "", f.seq, f.err)
				f.job, f.err = queue.Job{}, brokenRecord("read job", seqName(f.seq), f.err)
			}
			if !yield(f.job, f.err) {
				return
			}
		}
		from, more = next(out[len(out)-1].seq)
	}
}

// Quarantined yields what is kept aside: the raw key and why.
func (s *Store) Quarantined(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		from := uint64(0)
		for {
			if err := s.readable(ctx, "read what is kept aside"); err != nil {
				yield("", err)
				return
			}
			var out []found
			if err := s.view("read what is kept aside", func(tx *bbolt.Tx) error {
				c := tx.Bucket([]byte(bktBroken)).Cursor()
				for k, v := c.Seek(seqKey(from)); k != nil && len(out) < listStep; k, v = c.Next() {
					out = append(out, found{seq: seqOf(k), err: errors.New(asideWhy(v))})
				}
				return nil
			}); err != nil {
				yield("", err)
				return
			}
			for _, f := range out {
				if !yield(seqName(f.seq), f.err) {
					return
				}
				from = f.seq + 1
			}
			if len(out) == 0 {
				return
			}
		}
	}
}
