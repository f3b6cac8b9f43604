package queuetest

import (
	"errors"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

func closeChecks() []check {
	return []check{
		{"then every call says so", closeThen},
		{"again", closeAgain},
		{"while calls are made", closeMeanwhile},
	}
}

func closeThen(s *store) {
	j := s.in(queue.Started, nil)
	e := s.entry(nil)
	if err := s.Close(); err != nil {
		s.t.Fatalf("close: %v", err)
	}
	for name, call := range map[string]func() error{
		"put":         func() error { _, err := s.Put(s.ctx, []queue.Entry{e}); return err },
		"advance":     func() error { return s.Advance(s.ctx, s.move(j.ID, queue.Started, queue.Finished)) },
		"mark":        func() error { return s.Mark(s.ctx, queue.Mark{Job: j.ID, ModCount: 5}) },
		"save":        func() error { return s.Save(s.ctx, j.ID, []byte("x")) },
		"lease":       func() error { _, err := s.Lease(s.ctx, func(queue.Slot) bool { return true }); return err },
		"get":         func() error { _, err := s.Get(s.ctx, j.ID); return err },
		"open":        func() error { _, err := s.Open(s.ctx, j.ID, queue.Message); return err },
		"known":       func() error { _, err := s.Known(s.ctx, j.Instance, []string{j.SysID}); return err },
		"undelivered": func() error { _, err := s.Undelivered(s.ctx, 5); return err },
		"health":      func() error { return s.Health(s.ctx) },
		"forget":      func() error { _, err := s.Forget(s.ctx, s.clock.Now()); return err },
		"spool":       s.spoolThrough,
		"unfinished": func() error {
			for _, err := range s.Unfinished(s.ctx) {
				return err
			}
			return errors.New("no error")
		},
		"list": func() error {
			for _, err := range s.List(s.ctx) {
				return err
			}
			return errors.New("no error")
		},
	} {
		s.fails(name+" after close", call(), queue.ErrClosed)
	}
	s.Unlease(j.ID)
	_, _, _ = s.Counts(), s.NextDue(), s.Changed() // they must not panic
	s.start()
	s.same("the job", s.get(j.ID), j)
	_, err := s.Get(s.ctx, e.Job.ID)
	s.fails("get what was put after close", err, queue.ErrNotFound)
}

// spoolThrough spools a body; a closed store may say so at any of its steps.
func (s *store) spoolThrough() error {
	sp, err := s.Spool(s.ctx)
	if err != nil {
		return err
	}
	if _, err := sp.Write([]byte("x")); err != nil {
		return err
	}
	_, err = sp.Done()
	return err
}

func closeAgain(s *store) {
	if err := s.Close(); err != nil {
		s.t.Fatalf("close: %v", err)
	}
	if err := s.Close(); err != nil && !errors.Is(err, queue.ErrClosed) {
		s.t.Errorf("close again: %v", err)
	}
}

// closeMeanwhile closes the store under writers: each job whose move was
// acknowledged is there afterwards, and each call ends.
func closeMeanwhile(s *store) {
	const writers = 8
	moves := make([]queue.Transition, writers*40)
	entries := make([]queue.Entry, len(moves))
	for i := range moves {
		entries[i] = s.entry(nil)
		moves[i] = s.move(entries[i].Job.ID, queue.Received, queue.Claimed)
	}
	s.putEntries(len(entries), entries...)
	results := make(chan []queue.ID, writers)
	first := make(chan struct{}, len(moves))
	for w := range writers {
		go func() {
			var done []queue.ID
			for i := w; i < len(moves); i += writers {
				err := s.Advance(s.ctx, moves[i])
				if err != nil {
					if !errors.Is(err, queue.ErrClosed) {
						s.t.Errorf("advance while the store is closed: %v", err)
					}
					break
				}
				done = append(done, moves[i].Job)
				first <- struct{}{}
			}
			results <- done
		}()
	}
	<-first
	if err := s.Close(); err != nil {
		s.t.Errorf("close: %v", err)
	}
	var acknowledged []queue.ID
	timeout := time.After(30 * time.Second)
	for range writers {
		select {
		case done := <-results:
			acknowledged = append(acknowledged, done...)
		case <-timeout:
			s.t.Fatal("a call on a closed store does not end")
		}
	}
	s.start()
	for _, id := range acknowledged {
		s.same("an acknowledged move", s.get(id).Status.State, queue.Claimed)
	}
}
