package bolt

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Mark changes statuses, all or none, durable on return. A final job can be
// marked too: its message may be seen again with another count.
func (s *Store) Mark(ctx context.Context, marks ...queue.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	return s.submit(ctx, &op{name: "mark jobs", size: 256 * len(marks), do: func(t *txn) error {
		for i := range marks {
			if _, _, _, err := t.lookup("mark job", marks[i].Job); err != nil {
				return err
			}
		}
		for i := range marks {
			if err := t.mark(&marks[i]); err != nil {
				return err
			}
		}
		return nil
	}})
}

func (t *txn) mark(m *queue.Mark) error {
	seq, r, final, err := t.lookup("mark job", m.Job)
	if err != nil {
		return err
	}
	next := m.Apply(r.status)
	r.order = slices.Clone(r.order)
	if final {
		r.status = next
		var done doneRecord
		if err := done.split(t.bucket(bktDone).Get(seqKey(seq))); err != nil {
			return brokenRecord("mark job", string(m.Job), err)
		}
		t.put(bktDone, seqKey(seq), encodeDone(seq, &r, slices.Clone(done.job)))
		return nil
	}
	moved := !next.Until.Equal(r.status.Until)
	if moved {
		t.unplace(seq, &r)
	}
	r.status = next
	if moved {
		t.replace(seq, &r)
		t.deltas = append(t.deltas, delta{seq: seq, postponed: true})
	}
	t.put(bktStatus, seqKey(seq), encodeRecord(seq, &r))
	return nil
}

// Save stores the connector's own state of a Started job, durable on return.
func (s *Store) Save(ctx context.Context, id queue.ID, state []byte) error {
	p, err := s.prepareBody(id, queue.Saved, state)
	if err != nil {
		return err
	}
	err = s.submit(ctx, &op{name: "save state", size: len(p.value) + 64, do: func(t *txn) error {
		seq, r, _, err := t.lookup("save state", id)
		if err != nil {
			return err
		}
		if r.status.State != queue.Started {
			return fault.New(fault.Conflict, "save state", string(id),
				fmt.Errorf("%w: it is %s, and only a started job saves", queue.ErrConflict, r.status.State))
		}
		t.setBody(seq, queue.Saved, p)
		return nil
	}})
	if err != nil && fault.KindOf(err) != fault.Unknown {
		s.discard([]prepared{p})
	}
	return err
}
