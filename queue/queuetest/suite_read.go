package queuetest

import (
	"errors"
	"iter"
	"slices"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func readChecks() []check {
	return []check{
		{"a job that is not there", getMissing},
		{"undelivered, the oldest outcome first", undeliveredOrder},
		{"undelivered, at most so many", undeliveredLimit},
		{"unfinished, in the order of put", unfinishedOrder},
		{"list, the newest first", listOrder},
		{"a loop may end early", loopEnds},
		{"a loop may change the queue", loopChanges},
		{"nothing is quarantined", quarantinedNone},
	}
}

// ids runs through a loop of the queue.
func (s *store) ids(jobs iter.Seq2[queue.Job, error]) []queue.ID {
	s.t.Helper()
	var ids []queue.ID
	for j, err := range jobs {
		if err != nil {
			s.t.Fatalf("loop over jobs: %v", err)
		}
		s.same("a job of a loop", j, s.get(j.ID))
		ids = append(ids, j.ID)
	}
	return ids
}

func idsOf(jobs []queue.Job) []queue.ID {
	var ids []queue.ID
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// undelivered returns what the queue returns, checked against Get.
func (s *store) undelivered(limit int) []queue.ID {
	s.t.Helper()
	jobs, err := s.Undelivered(s.ctx, limit)
	if err != nil {
		s.t.Fatalf("undelivered: %v", err)
	}
	for _, j := range jobs {
		s.same("an undelivered job", j, s.get(j.ID))
	}
	return idsOf(jobs)
}

func getMissing(s *store) {
	j := s.put(nil)
	for _, id := range []queue.ID{"prod/nobody", j.ID + "#2", j.ID + "0", j.ID[:len(j.ID)-1]} {
		_, err := s.Get(s.ctx, id)
		s.fails("get "+string(id), err, queue.ErrNotFound)
	}
	// What is no id at all may be called malformed instead.
	for _, id := range []queue.ID{"", "/", queue.ID(j.Instance), j.ID + "#1"} {
		if _, err := s.Get(s.ctx, id); err == nil || fault.KindOf(err) != fault.Invalid && !errors.Is(err, queue.ErrNotFound) {
			s.t.Errorf("get %q: %v", id, err)
		}
	}
}

// undeliveredOrder finishes jobs in another order than they were put in.
func undeliveredOrder(s *store) {
	s.same("an empty store", s.undelivered(10), []queue.ID(nil))
	var jobs []queue.Job
	for range 9 {
		jobs = append(jobs, s.in(queue.Started, func(j *queue.Job) { j.Priority, j.Pool = 9-len(jobs), queue.Standard }))
	}
	for _, state := range queue.States() {
		if state != queue.Finished {
			s.in(state, nil)
		}
	}
	var want []queue.ID
	for i := range jobs {
		j := jobs[i*4%len(jobs)] // 0, 4, 8, 3, 7, ...
		s.advance(s.move(j.ID, queue.Started, queue.Finished))
		want = append(want, j.ID)
	}
	s.same("undelivered", s.undelivered(100), want)
	s.reopen()
	s.same("after a restart", s.undelivered(100), want)
	s.mark(queue.Mark{Job: want[0], Sent: s.at(), Parts: 1})
	s.same("a sent one is still undelivered", s.undelivered(100), want)
	s.advance(s.move(want[3], queue.Finished, queue.Delivered), s.move(want[0], queue.Finished, queue.Delivered))
	want = slices.Concat(want[1:3], want[4:])
	s.same("two were delivered", s.undelivered(100), want)
	s.reopen()
	s.same("after another restart", s.undelivered(100), want)
}

func undeliveredLimit(s *store) {
	var want []queue.ID
	for range 7 {
		want = append(want, s.in(queue.Finished, nil).ID)
	}
	for limit := 1; limit <= 9; limit++ {
		s.same("undelivered", s.undelivered(limit), want[:min(limit, len(want))])
	}
}

func unfinishedOrder(s *store) {
	var want []queue.ID
	for i := range 3 {
		for _, state := range queue.States() {
			j := s.in(state, func(j *queue.Job) { j.Instance = []string{"z", "a", "m"}[i]; j.Priority = i })
			if !state.Final() {
				want = append(want, j.ID)
			}
		}
	}
	s.same("unfinished", s.ids(s.Unfinished(s.ctx)), want)
	s.reopen()
	s.same("after a restart", s.ids(s.Unfinished(s.ctx)), want)
	s.same("the same loop again", s.ids(s.Unfinished(s.ctx)), want)
}

func listOrder(s *store) {
	var want []queue.ID
	for range 3 {
		for _, state := range queue.States() {
			want = append(want, s.in(state, nil).ID)
		}
	}
	slices.Reverse(want)
	s.same("list", s.ids(s.List(s.ctx)), want)
	s.reopen()
	s.same("after a restart", s.ids(s.List(s.ctx)), want)
}

// loopEnds ends loops early; the store must stay usable and can be closed.
func loopEnds(s *store) {
	for range 5 {
		s.in(queue.Claimed, nil)
	}
	for _, loop := range []iter.Seq2[queue.Job, error]{s.Unfinished(s.ctx), s.List(s.ctx)} {
		n := 0
		for _, err := range loop {
			if err != nil {
				s.t.Errorf("loop: %v", err)
			}
			n++
			if n == 2 {
				break
			}
		}
		s.same("rounds", n, 2)
	}
	s.put(nil)
	s.reopen()
}

// loopChanges moves each job in the body of a loop over them, as a recovery
// does, and adds enough for a store's file to grow meanwhile.
func loopChanges(s *store) {
	const jobs = 12
	for range jobs {
		s.put(nil)
	}
	for name, loop := range map[string]func() iter.Seq2[queue.Job, error]{
		"unfinished": func() iter.Seq2[queue.Job, error] { return s.Unfinished(s.ctx) },
		"list":       func() iter.Seq2[queue.Job, error] { return s.List(s.ctx) },
	} {
		seen := map[queue.ID]int{}
		for j, err := range loop() {
			if err != nil {
				s.t.Fatalf("%s: %v", name, err)
			}
			seen[j.ID]++
			if len(seen) > jobs {
				continue // one that was put by this loop
			}
			e := s.entry(nil)
			e.Message = noise(60_000, uint64(len(seen)))
			s.putEntries(1, e)
			if j.Status.State == queue.Received {
				s.advance(s.move(j.ID, queue.Received, queue.Released))
			}
		}
		for id, n := range seen {
			if n > 1 {
				s.t.Errorf("%s yielded %s %d times", name, id, n)
			}
		}
		if len(seen) < jobs {
			s.t.Errorf("%s yielded %d jobs, want %d or more", name, len(seen), jobs)
		}
	}
}

func quarantinedNone(s *store) {
	for _, state := range queue.States() {
		s.in(state, nil)
	}
	s.reopen()
	for key, err := range s.Quarantined(s.ctx) {
		s.t.Errorf("%s was quarantined: %v", key, err)
	}
	s.same("quarantined", s.Counts().Quarantined, 0)
}
