package queuetest

import (
	"context"

	"github.com/sallyport-agent/sallyport/queue"
)

// Advance implements queue.Journal.
func (q *Memory) Advance(ctx context.Context, moves ...queue.Transition) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "advance"); err != nil {
		return err
	}
	q.call++
	for i := range moves {
		if err := q.check(&moves[i]); err != nil {
			return err
		}
	}
	for i := range moves {
		q.move(&moves[i])
	}
	q.sweep()
	return nil
}

// check tells whether a move can be made after the earlier ones of this call.
// It changes nothing but what is planned.
func (q *Memory) check(t *queue.Transition) error {
	m, err := q.find("advance", t.Job)
	if err != nil {
		return err
	}
	if m.call != q.call {
		m.call, m.planned = q.call, m.job.Status
	}
	if m.planned, err = t.Apply(m.planned); err != nil {
		return err
	}
	return q.checkSpool(t)
}

// move makes a move that was checked: its status is part of what was planned.
func (q *Memory) move(t *queue.Transition) {
	m := q.jobs[t.Job]
	m.job.Status = m.planned
	m.leased = false
	switch t.To {
	case queue.Claimed:
		q.wake()
	case queue.Held, queue.Waiting:
		if !t.Until.IsZero() {
			q.wake()
		}
	case queue.Finished:
		q.finish(m, t)
	case queue.Delivered:
		q.sent++
		q.finals++
	case queue.Released:
		q.finals++
	case queue.Received, queue.Started: // nothing else to do
	}
}

// finish keeps the outcome.
func (q *Memory) finish(m *memoryJob, t *queue.Transition) {
	q.results[t.Result]++
	q.finished++
	m.finished = q.finished
	switch {
	case t.Spool != nil:
		q.useSpool(m, t)
	case t.Outcome != nil:
		q.store(m, queue.Outcome, t.Outcome)
	}
}

// sweep drops final jobs from the list of open ones, when they are many.
func (q *Memory) sweep() {
	if q.finals < 16 || 2*q.finals < len(q.open) {
		return
	}
	kept := q.open[:0]
	for _, m := range q.open {
		if !m.job.Status.State.Final() {
			kept = append(kept, m)
		}
	}
	clear(q.open[len(kept):])
	q.open, q.finals = kept, 0
}
