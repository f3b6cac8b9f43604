package queuetest

import (
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

func waitChecks() []check {
	return []check{
		{"due by time", waitDue},
		{"due jobs keep the order", waitOrder},
		{"another due time", waitMarked},
		{"the next due time", waitNext},
		{"changed closes", changedCloses},
		{"changed before lease misses nothing", changedFirst},
	}
}

// aside moves a claimed or started job to held or waiting until a time.
func (s *store) aside(j queue.Job, until time.Time) queue.Job {
	s.t.Helper()
	to := queue.Held
	if j.Status.State == queue.Started {
		to = queue.Waiting
	}
	m := s.move(j.ID, j.Status.State, to)
	m.Until = until
	s.advance(m)
	return s.get(j.ID)
}

func waitDue(s *store) {
	for _, from := range []queue.State{queue.Claimed, queue.Started} {
		j := s.in(from, nil)
		until := s.clock.Now().Add(time.Hour)
		j = s.aside(j, until)
		s.leases("not due")
		s.clock.add(until.Sub(s.clock.Now()) - 1)
		s.leases("due in a nanosecond")
		s.clock.add(1)
		s.leases("due now", j)
		s.Unlease(j.ID)
		s.clock.add(24 * time.Hour)
		s.reopen()
		s.leases("due long ago, after a restart", j)
		s.advance(s.move(j.ID, j.Status.State, map[queue.State]queue.State{queue.Held: queue.Released, queue.Waiting: queue.Finished}[j.Status.State]))

		never := s.aside(s.in(from, nil), time.Time{})
		s.clock.add(1000 * time.Hour)
		s.leases("without a time it is never due")
		s.mark(queue.Mark{Job: never.ID, Until: s.clock.Now()})
		s.leases("until it is woken", s.get(never.ID))
		s.Unlease(never.ID)
		s.advance(s.move(never.ID, never.Status.State, queue.Finished))
	}
}

// waitOrder: a job that waited goes by its pool, priority and sequence, not by
// when it became due.
func waitOrder(s *store) {
	now := s.clock.Now()
	third := s.in(queue.Claimed, func(j *queue.Job) { j.Sequence = "3" })
	first := s.aside(s.in(queue.Started, func(j *queue.Job) { j.Sequence = "1" }), now.Add(2*time.Hour))
	fourth := s.aside(s.in(queue.Claimed, func(j *queue.Job) { j.Sequence = "4" }), now.Add(time.Hour))
	second := s.in(queue.Claimed, func(j *queue.Job) { j.Sequence = "2" })
	urgent := s.aside(s.in(queue.Started, func(j *queue.Job) { j.Pool, j.Priority, j.Sequence = queue.Interactive, 0, "9" }), now.Add(3*time.Hour))
	s.clock.add(4 * time.Hour)
	s.leases("due and claimed jobs together", urgent, first, second, third, fourth)
}

func waitMarked(s *store) {
	j := s.aside(s.in(queue.Started, nil), s.clock.Now().Add(time.Hour))
	s.mark(queue.Mark{Job: j.ID, Until: s.clock.Now().Add(3 * time.Hour)})
	s.clock.add(2 * time.Hour)
	s.leases("put off")
	s.mark(queue.Mark{Job: j.ID, Until: s.clock.Now()})
	s.leases("brought forward", s.get(j.ID))
	// Put off while it is leased, as a policy that still says no does it.
	s.mark(queue.Mark{Job: j.ID, Until: s.clock.Now().Add(time.Minute)})
	s.Unlease(j.ID)
	s.leases("put off again")
	s.clock.add(time.Minute)
	s.reopen()
	s.leases("due after a restart", s.get(j.ID))
}

func waitNext(s *store) {
	next := func(why string, want time.Time) {
		s.t.Helper()
		if got := s.NextDue(); !got.Equal(want) {
			s.t.Errorf("%s: the next is due at %v, want %v", why, got, want)
		}
	}
	next("an empty store", time.Time{})
	s.in(queue.Claimed, nil)
	s.in(queue.Held, nil)
	next("nothing with a time", time.Time{})
	now := s.clock.Now()
	late := s.aside(s.in(queue.Started, nil), now.Add(3*time.Hour))
	next("one waits", now.Add(3*time.Hour))
	soon := s.aside(s.in(queue.Claimed, nil), now.Add(time.Hour))
	next("another is held", now.Add(time.Hour))
	s.reopen()
	next("after a restart", now.Add(time.Hour))
	s.mark(queue.Mark{Job: late.ID, Until: now.Add(2 * time.Hour)})
	next("brought forward, but later", now.Add(time.Hour))
	s.mark(queue.Mark{Job: soon.ID, Until: now.Add(4 * time.Hour)})
	next("the first was put off", now.Add(2*time.Hour))
	s.advance(s.move(late.ID, queue.Waiting, queue.Finished))
	next("the first is finished", now.Add(4*time.Hour))
	s.advance(s.move(soon.ID, queue.Held, queue.Claimed))
	next("the last is claimed", time.Time{})
}

// changedCloses: what lets a Lease succeed, now or at a time that NextDue did
// not tell before, closes the channel that was taken before.
func changedCloses(s *store) {
	closes := func(why string, change func()) {
		s.t.Helper()
		for s.lease() != "" {
			continue
		}
		changed := s.Changed()
		change()
		s.closed(why, changed)
	}
	a, b := s.put(nil), s.put(nil)
	closes("claimed", func() { s.advance(s.move(a.ID, queue.Received, queue.Claimed)) })
	closes("given back", func() { s.Unlease(a.ID) })
	closes("held until now", func() {
		m := s.move(a.ID, queue.Claimed, queue.Held)
		m.Until = m.At
		s.advance(m)
	})
	closes("approved", func() { s.advance(s.move(a.ID, queue.Held, queue.Claimed)) })
	s.advance(s.move(a.ID, queue.Claimed, queue.Started), s.move(b.ID, queue.Received, queue.Claimed),
		s.move(b.ID, queue.Claimed, queue.Started))
	closes("waits until now", func() { s.aside(s.get(a.ID), s.clock.Now()) })
	closes("waits until later", func() { s.aside(s.get(b.ID), s.clock.Now().Add(time.Hour)) })
	closes("due earlier", func() { s.mark(queue.Mark{Job: b.ID, Until: s.clock.Now()}) })
	c, d := s.put(nil), s.put(nil)
	closes("claimed among others", func() {
		s.advance(s.move(c.ID, queue.Received, queue.Released), s.move(d.ID, queue.Received, queue.Claimed))
	})
}

func (s *store) closed(why string, changed <-chan struct{}) {
	s.t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	select {
	case <-changed:
	case <-timeout.C:
		s.t.Errorf("%s: whoever waits for a change is not told", why)
	}
}

// changedFirst is the loop of every user: take the channel, then lease, then
// wait. Each job is claimed by another goroutine; none may be overlooked.
func changedFirst(s *store) {
	const jobs = 60
	var entries []queue.Entry
	var moves []queue.Transition
	for range jobs {
		e := s.entry(nil)
		entries = append(entries, e)
		moves = append(moves, s.move(e.Job.ID, queue.Received, queue.Claimed))
	}
	s.putEntries(jobs, entries...)
	claimed := make(chan error, 1)
	go func() {
		for _, m := range moves {
			if err := s.Advance(s.ctx, m); err != nil {
				claimed <- err
				return
			}
		}
		claimed <- nil
	}()
	for leased := 0; leased < jobs; {
		changed := s.Changed()
		if s.lease() != "" {
			leased++
			continue
		}
		s.closed("claimed meanwhile", changed)
		if s.t.Failed() {
			break
		}
	}
	if err := <-claimed; err != nil {
		s.t.Errorf("claim: %v", err)
	}
}
