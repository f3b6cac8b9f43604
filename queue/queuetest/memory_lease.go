package queuetest

import (
	"cmp"
	"context"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// slotAnswer is what Free said about a slot during one Lease.
type slotAnswer struct {
	slot queue.Slot
	free bool
}

// Lease implements queue.Leaser. Jobs that the contract's order does not tell
// apart are leased in the order in which they were put. free is asked at most
// once about each slot.
func (q *Memory) Lease(ctx context.Context, free queue.Free) (*queue.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "lease"); err != nil {
		return nil, err
	}
	now := q.now()
	q.asked = q.asked[:0]
	var best *memoryJob
	for _, m := range q.open {
		if m.leased || !m.due(now) || best != nil && !m.before(best) || !q.free(m, free) {
			continue
		}
		best = m
	}
	if best == nil {
		return nil, nil //nolint:nilnil // the contract: no job and no error
	}
	best.leased = true
	job := best.job
	return &job, nil
}

// due reports whether the job may be leased at the time, if nobody has it.
func (m *memoryJob) due(now time.Time) bool {
	s := &m.job.Status
	switch s.State {
	case queue.Claimed:
		return true
	case queue.Waiting, queue.Held:
		return !s.Until.IsZero() && !s.Until.After(now)
	default:
		return false
	}
}

// before reports whether m goes first by pool, priority and sequence.
func (m *memoryJob) before(o *memoryJob) bool {
	return cmp.Or(
		cmp.Compare(m.job.Pool, o.job.Pool),
		cmp.Compare(m.job.Priority, o.job.Priority),
		cmp.Compare(ordering(m.job.Sequence), ordering(o.job.Sequence)),
	) < 0
}

// ordering is the part of a sequence that orders jobs.
func ordering(sequence string) string { return sequence[:min(len(sequence), queue.MaxSequence)] }

// free asks about the job's slot, once.
func (q *Memory) free(m *memoryJob, free queue.Free) bool {
	slot := queue.Slot{Instance: m.job.Instance, Pool: m.job.Pool, Target: m.job.Target, Lane: m.job.Lane}
	for i := range q.asked {
		if q.asked[i].slot == slot {
			return q.asked[i].free
		}
	}
	ok := free(slot)
	q.asked = append(q.asked, slotAnswer{slot, ok})
	return ok
}

// Unlease implements queue.Leaser.
func (q *Memory) Unlease(id queue.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.jobs[id]; m != nil && m.leased {
		m.leased = false
		q.wake()
	}
}

// Changed implements queue.Leaser. A new due time is a change too, for whoever
// waits for the one that NextDue told.
func (q *Memory) Changed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

// NextDue implements queue.Leaser. A job that became due and is not leased
// counts, so that none is overlooked between a Lease and this call.
func (q *Memory) NextDue() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	var next time.Time
	for _, m := range q.open {
		s := &m.job.Status
		if m.leased || s.Until.IsZero() || s.State != queue.Waiting && s.State != queue.Held {
			continue
		}
		if next.IsZero() || s.Until.Before(next) {
			next = s.Until
		}
	}
	return next
}
