package queuetest

import (
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

func markChecks() []check {
	return []check{
		{"each field, and no other", markFields},
		{"several of one job, in order", markSeveral},
		{"all or none", markAllOrNone},
		{"in every state", markEveryState},
		{"a mark is no transition", markKeepsLease},
	}
}

// markFields sets one field after the other and checks the whole job.
func markFields(s *store) {
	want := s.in(queue.Held, nil)
	st := &want.Status
	until, sent := s.clock.Now().Add(time.Hour), s.clock.Now().Add(time.Minute)
	for _, c := range []struct {
		name string
		mark queue.Mark
		set  func()
	}{
		{"nothing", queue.Mark{}, func() {}},
		{"mod count", queue.Mark{ModCount: 1 << 40}, func() { st.ModCount = 1 << 40 }},
		{"sent", queue.Mark{Sent: sent}, func() { st.Sent = sent }},
		{"nothing again", queue.Mark{}, func() {}},
		{"unsent", queue.Mark{Unsent: true}, func() { st.Sent = time.Time{} }},
		{"parts", queue.Mark{Parts: 70_000}, func() { st.Parts = 70_000 }},
		{"report", queue.Mark{Report: "0f"}, func() { st.Report = "0f" }},
		{"until", queue.Mark{Until: until}, func() { st.Until = until }},
		{"why", queue.Mark{Why: "at night ☾"}, func() { st.Why = "at night ☾" }},
		{"all", queue.Mark{ModCount: 2, Sent: sent, Parts: 3, Report: "r", Until: until.Add(1), Why: "w"}, func() {
			st.ModCount, st.Sent, st.Parts, st.Report, st.Until, st.Why = 2, sent, 3, "r", until.Add(1), "w"
		}},
		{"unsent and a part", queue.Mark{Unsent: true, Parts: 4, Report: "r4"}, func() {
			st.Sent, st.Parts, st.Report = time.Time{}, 4, "r4"
		}},
	} {
		c.mark.Job = want.ID
		s.mark(c.mark)
		c.set()
		s.same(c.name, s.get(want.ID), want)
	}
	s.reopen()
	s.same("after a restart", s.get(want.ID), want)
}

func markSeveral(s *store) {
	a, b := s.in(queue.Finished, nil), s.in(queue.Finished, nil)
	sent := s.at()
	s.mark(queue.Mark{Job: a.ID, Sent: sent, Parts: 1}, queue.Mark{Job: b.ID, Sent: sent},
		queue.Mark{Job: a.ID, Unsent: true, Parts: 2})
	a.Status.Parts, b.Status.Sent = 2, sent
	s.same("marked twice", s.get(a.ID), a)
	s.same("marked once", s.get(b.ID), b)
}

func markAllOrNone(s *store) {
	j := s.in(queue.Waiting, nil)
	for _, marks := range [][]queue.Mark{
		{{Job: j.ID, ModCount: 9}, {Job: "prod/nobody", ModCount: 9}},
		{{Job: "prod/nobody", ModCount: 9}, {Job: j.ID, ModCount: 9, Until: s.clock.Now()}},
	} {
		s.fails("mark an unknown job", s.Mark(s.ctx, marks...), queue.ErrNotFound)
	}
	s.same("the other job of the call", s.get(j.ID), j)
	s.leases("nothing became due")
}

// markEveryState: a delivered job's message is seen again, too.
func markEveryState(s *store) {
	var all []queue.Job
	for _, state := range queue.States() {
		j := s.in(state, nil)
		j.Status.ModCount = 12
		s.mark(queue.Mark{Job: j.ID, ModCount: 12})
		all = append(all, j)
	}
	for range 2 {
		for _, j := range all {
			s.same(j.Status.State.String(), s.get(j.ID), j)
		}
		s.reopen()
	}
}

func markKeepsLease(s *store) {
	j := s.in(queue.Claimed, nil)
	s.same("leased", s.lease(), j.ID)
	s.mark(queue.Mark{Job: j.ID, ModCount: 3})
	s.leases("a marked job stays leased")
}
