package queuetest

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func keepChecks() []check {
	return []check{
		{"counts", countsFollow},
		{"counts are the caller's own", countsCopy},
		{"the oldest outcome", countsOldest},
		{"bytes", countsBytes},
		{"health", healthy},
		{"forget by day", forgetByDay},
		{"forget only what is final", forgetFinal},
		{"forget one of several runs", forgetRuns},
		{"a context that has ended", canceled},
	}
}

// countsNow returns the counts without what is zero and without the size,
// which stores may differ in.
func (s *store) countsNow() queue.Counts { return plain(s.Counts()) }

func plain(c queue.Counts) queue.Counts {
	p := queue.Counts{
		States: map[queue.State]int{}, Unstarted: map[string]queue.PoolCounts{}, Results: map[queue.Result]uint64{},
		Delivered: c.Delivered, Oldest: c.Oldest, Quarantined: c.Quarantined,
	}
	for state, n := range c.States {
		if n != 0 {
			p.States[state] = n
		}
	}
	for instance, n := range c.Unstarted {
		if n != (queue.PoolCounts{}) {
			p.Unstarted[instance] = n
		}
	}
	for r, n := range c.Results {
		if n != 0 {
			p.Results[r] = n
		}
	}
	return p
}

func countsFollow(s *store) {
	empty := plain(queue.Counts{})
	s.same("an empty store", s.countsNow(), empty)
	want := plain(queue.Counts{})
	for i, state := range queue.States() {
		for range i + 1 {
			j := s.in(state, func(j *queue.Job) { j.Instance, j.Pool = []string{"prod", "dev"}[i%2], queue.Pools()[i%3] })
			switch {
			case state.Unstarted():
				n := want.Unstarted[j.Instance]
				n[j.Pool]++
				want.Unstarted[j.Instance] = n
			case state == queue.Finished && want.Oldest.IsZero():
				want.Oldest = j.Status.Changed
			}
			if !state.Final() {
				want.States[state]++
			}
		}
	}
	finished, delivered := want.States[queue.Finished], 7 // Delivered is the seventh of the states
	want.Results[queue.Succeeded] = uint64(finished + delivered)
	want.Delivered = uint64(delivered)
	s.same("jobs of every state", s.countsNow(), want)

	denied := s.put(nil)
	m := s.move(denied.ID, queue.Received, queue.Finished)
	m.Result = queue.Denied
	s.advance(m)
	want.Results[queue.Denied]++
	want.States[queue.Finished]++
	s.same("one more was denied", s.countsNow(), want)

	s.reopen()
	want.Results, want.Delivered = map[queue.Result]uint64{}, 0
	s.same("after a restart", s.countsNow(), want)
}

func countsCopy(s *store) {
	s.in(queue.Claimed, nil)
	want, c := s.countsNow(), s.Counts()
	c.States[queue.Claimed] = 99
	clear(c.Unstarted)
	if c.Results != nil {
		c.Results[queue.Failed] = 99
	}
	s.same("counts after the caller changed its own", s.countsNow(), want)
}

func countsOldest(s *store) {
	oldest := func(why string, want time.Time) {
		s.t.Helper()
		if got := s.Counts().Oldest; !got.Equal(want) {
			s.t.Errorf("%s: the oldest is of %v, want %v", why, got, want)
		}
	}
	oldest("an empty store", time.Time{})
	late, soon := s.in(queue.Started, nil), s.in(queue.Started, nil)
	s.advance(s.move(soon.ID, queue.Started, queue.Finished))
	s.clock.add(time.Hour)
	s.advance(s.move(late.ID, queue.Started, queue.Finished))
	first, second := s.get(soon.ID).Status.Changed, s.get(late.ID).Status.Changed
	oldest("two outcomes", first)
	s.mark(queue.Mark{Job: soon.ID, Sent: s.at()})
	oldest("the oldest was sent", first)
	s.reopen()
	oldest("after a restart", first)
	s.advance(s.move(soon.ID, queue.Finished, queue.Delivered))
	oldest("the oldest was delivered", second)
	s.advance(s.move(late.ID, queue.Finished, queue.Delivered))
	oldest("all were delivered", time.Time{})
}

func countsBytes(s *store) {
	const large = 1 << 20
	before := s.Counts().Bytes
	if before < 0 {
		s.t.Errorf("an empty store has %d bytes", before)
	}
	for i := range 4 {
		e := s.entry(nil)
		e.Message = noise(large, uint64(i))
		s.putEntries(1, e)
	}
	for range 2 {
		if got := s.Counts().Bytes; got < 4*large {
			s.t.Errorf("%d bytes with bodies of %d", got, 4*large)
		}
		s.reopen()
	}
}

func healthy(s *store) {
	s.in(queue.Finished, nil)
	before := s.countsNow()
	for range 3 {
		if err := s.Health(s.ctx); err != nil {
			s.t.Errorf("health: %v", err)
		}
	}
	s.same("the trial write leaves nothing in the counts", s.countsNow(), before)
	s.same("nor among the jobs", len(s.ids(s.List(s.ctx))), 1)
}

func (s *store) forget(before time.Time, want int) {
	s.t.Helper()
	dropped, err := s.Forget(s.ctx, before)
	if err != nil || dropped != want {
		s.t.Errorf("forget what was before %v: %d dropped, want %d; %v", before, dropped, want, err)
	}
}

// forgetByDay has a job delivered, or released, at the end and at the beginning
// of each of some days of UTC.
func forgetByDay(s *store) {
	day := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	byDay := map[int][]queue.Job{}
	for d := range 4 {
		for i, at := range []time.Duration{0, 24*time.Hour - 1} {
			j := s.in([]queue.State{queue.Finished, queue.Received}[i], nil)
			m := s.move(j.ID, j.Status.State, []queue.State{queue.Delivered, queue.Released}[i])
			m.At = day.AddDate(0, 0, d).Add(at)
			s.advance(m)
			byDay[d] = append(byDay[d], s.get(j.ID))
		}
	}
	s.forget(day, 0)
	s.forget(day.Add(20*time.Hour), 0)
	s.forget(day.AddDate(0, 0, 1), 2)
	s.reopen()
	s.forget(day.AddDate(0, 0, 1), 0)
	// 01:30 of the third day in Berlin is still the second day of UTC.
	s.forget(time.Date(2026, 3, 12, 0, 30, 0, 0, time.FixedZone("", 3600)), 0)
	s.forget(day.AddDate(0, 0, 3).Add(5*time.Minute), 4)
	for range 2 {
		for d := range 4 {
			for _, j := range byDay[d] {
				_, err := s.Get(s.ctx, j.ID)
				if d < 3 {
					s.fails("get a forgotten job", err, queue.ErrNotFound)
					s.lacks(j.ID, queue.Message)
					s.same("known", s.known("prod", j.SysID), map[string]queue.ID{})
					continue
				}
				s.same("a job that is remembered", s.get(j.ID), j)
				s.same("known", s.known("prod", j.SysID), map[string]queue.ID{j.SysID: j.ID})
			}
		}
		s.same("list", s.ids(s.List(s.ctx)), []queue.ID{byDay[3][1].ID, byDay[3][0].ID})
		s.reopen()
	}
	old := byDay[0][0]
	s.putEntries(1, queue.Entry{Job: old, Message: []byte("again")})
	s.same("a forgotten id is new", s.get(old.ID).Status.State, queue.Received)
	s.holds(old.ID, queue.Message, []byte("again"))
	s.lacks(old.ID, queue.Outcome)
}

func forgetFinal(s *store) {
	var kept []queue.Job
	for _, state := range queue.States() {
		if j := s.in(state, nil); !state.Final() {
			kept = append(kept, j)
		}
	}
	s.forget(s.clock.Now().AddDate(1, 0, 0), 2)
	s.same("unfinished", s.ids(s.Unfinished(s.ctx)), idsOf(kept))
	for _, j := range kept {
		s.same("a job that is not final", s.get(j.ID), j)
	}
	s.reopen()
	s.same("list", len(s.ids(s.List(s.ctx))), len(kept))
}

// forgetRuns forgets the first run of a message while its second is kept.
func forgetRuns(s *store) {
	first := s.in(queue.Delivered, nil)
	s.clock.add(100 * 24 * time.Hour)
	second := s.in(queue.Delivered, func(j *queue.Job) { j.SysID, j.Run = first.SysID, 2 })
	s.forget(s.clock.Now().AddDate(0, 0, -90), 1)
	for range 2 {
		s.same("known", s.known("prod", first.SysID), map[string]queue.ID{first.SysID: second.ID})
		_, err := s.Get(s.ctx, first.ID)
		s.fails("get the first run", err, queue.ErrNotFound)
		s.same("the second run", s.get(second.ID), second)
		s.reopen()
	}
}

// canceled makes each call that waits for the disk with a context that has
// ended: what is reported and not unknown is true.
func canceled(s *store) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	cancel(errors.New("the agent stops"))
	e, j := s.entry(nil), s.in(queue.Started, nil)
	is := func(what string, err error, effect bool) {
		s.t.Helper()
		switch {
		case err == nil && !effect:
			s.t.Errorf("%s: no error and no effect", what)
		case err != nil && effect && fault.KindOf(err) != fault.Unknown:
			s.t.Errorf("%s took effect, but says %v", what, err)
		}
	}
	_, err := s.Put(ctx, []queue.Entry{e})
	_, missing := s.Get(s.ctx, e.Job.ID)
	is("put", err, missing == nil)
	err = s.Mark(ctx, queue.Mark{Job: j.ID, ModCount: 77})
	is("mark", err, s.get(j.ID).Status.ModCount == 77)
	err = s.Save(ctx, j.ID, []byte("x"))
	r, missing := s.Open(s.ctx, j.ID, queue.Saved)
	if missing == nil {
		_ = r.Close() // only whether it is there matters
	}
	is("save", err, missing == nil)
	err = s.Advance(ctx, s.move(j.ID, queue.Started, queue.Finished))
	is("advance", err, s.get(j.ID).Status.State == queue.Finished)
	for _, err := range s.List(ctx) {
		if err != nil {
			break // a loop over a context that ended may yield jobs or its end
		}
	}
	s.advance(s.move(s.put(nil).ID, queue.Received, queue.Claimed))
}
