package queuetest

import (
	"context"
	"errors"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

var errSpoolEnded = errors.New("the spool was ended")

// spool is a body that is being written.
type spool struct {
	q     *Memory
	body  []byte
	ended bool
}

// spooled is a body that belongs to no job yet.
type spooled struct {
	q       *Memory
	process int // of the queue that made it
	body    []byte
	used    bool
	call    uint64 // the call of Advance that plans to use it
}

// Size implements queue.Spooled.
func (s *spooled) Size() int64 { return int64(len(s.body)) }

// Spool implements queue.Journal.
func (q *Memory) Spool(ctx context.Context) (queue.Spool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "spool"); err != nil {
		return nil, err
	}
	return &spool{q: q, body: []byte{}}, nil
}

// Write adds to the body.
func (s *spool) Write(p []byte) (int, error) {
	if s.ended {
		return 0, fault.New(fault.Invalid, "write", "spool", errSpoolEnded).WithHint("open a new spool")
	}
	s.body = append(s.body, p...)
	return len(p), nil
}

// Done implements queue.Spool.
func (s *spool) Done() (queue.Spooled, error) {
	if s.ended {
		return nil, fault.New(fault.Invalid, "end", "spool", errSpoolEnded).WithHint("open a new spool")
	}
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	if err := s.q.ready(context.Background(), "end spool"); err != nil {
		return nil, err
	}
	s.ended = true
	s.q.spooled += int64(len(s.body))
	return &spooled{q: s.q, process: s.q.process, body: s.body}, nil
}

// Discard implements queue.Spool.
func (s *spool) Discard() error {
	s.ended = true
	s.body = nil
	return nil
}

// checkSpool tells whether the move's spooled body, if it has one, can be used.
func (q *Memory) checkSpool(t *queue.Transition) error {
	if t.Spool == nil {
		return nil
	}
	s, ok := t.Spool.(*spooled)
	switch {
	case !ok || s.q != q:
		return badSpool(t.Job, "a spooled body of another queue")
	case s.process != q.process:
		return badSpool(t.Job, "a spooled body of before the restart")
	case s.used || s.call == q.call:
		return badSpool(t.Job, "a spooled body that was used already")
	}
	s.call = q.call
	return nil
}

func badSpool(id queue.ID, why string) error {
	return fault.New(fault.Invalid, "advance", string(id), errors.New(why)).WithHint("spool the body again")
}

// useSpool gives the move's spooled body, which was checked, to the job.
func (q *Memory) useSpool(m *memoryJob, t *queue.Transition) {
	s, ok := t.Spool.(*spooled)
	if !ok {
		return
	}
	s.used = true
	q.spooled -= int64(len(s.body))
	q.keep(m, queue.Outcome, s.body)
}
