package queuetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

func advanceChecks() []check {
	return []check{
		{"the transition table", advanceTable},
		{"from must be the state", advanceFrom},
		{"an unknown job", advanceUnknown},
		{"all or none", advanceAllOrNone},
		{"several moves of one job", advanceSeveral},
		{"a bad move after good ones", advanceSeveralBad},
		{"what each move sets", advanceSets},
		{"a finished job has a result", advanceResult},
		{"attempts and retries", advanceAttempts},
	}
}

// advanceTable tries every pair of states, and states that do not exist.
func advanceTable(s *store) {
	for _, from := range queue.States() {
		for _, to := range append(queue.States(), 0, 77) {
			before := s.in(from, nil)
			err := s.Advance(s.ctx, s.move(before.ID, from, to))
			what := fmt.Sprintf("%s to %s", from, to)
			if from.CanBecome(to) {
				if err != nil {
					s.t.Errorf("%s: %v", what, err)
				}
				s.same(what, s.get(before.ID).Status.State, to)
				continue
			}
			s.fails(what, err, queue.ErrConflict)
			s.same(what+" was refused", s.get(before.ID), before)
		}
	}
}

// advanceFrom tries each move that the table has on jobs in all other states.
func advanceFrom(s *store) {
	for _, is := range queue.States() {
		before := s.in(is, nil)
		for _, from := range queue.States() {
			for _, to := range queue.States() {
				if from == is || !from.CanBecome(to) {
					continue
				}
				err := s.Advance(s.ctx, s.move(before.ID, from, to))
				s.fails(fmt.Sprintf("%s to %s of a job that is %s", from, to, is), err, queue.ErrConflict)
			}
		}
		s.same("the job", s.get(before.ID), before)
	}
}

func advanceUnknown(s *store) {
	j := s.put(nil)
	err := s.Advance(s.ctx, s.move(j.ID, queue.Received, queue.Claimed), s.move("prod/nobody", queue.Received, queue.Claimed))
	if !errors.Is(err, queue.ErrConflict) {
		s.fails("advance an unknown job", err, queue.ErrNotFound)
	}
	s.same("the other job of the call", s.get(j.ID), j)
}

// advanceAllOrNone has the conflict at every place of the call.
func advanceAllOrNone(s *store) {
	claimed, started := s.in(queue.Claimed, nil), s.in(queue.Started, nil)
	received, delivered := s.put(nil), s.in(queue.Delivered, nil)
	s.same("leased", s.lease(), claimed.ID)
	counts := s.countsNow()
	good := []queue.Transition{
		s.move(claimed.ID, queue.Claimed, queue.Started),
		s.move(started.ID, queue.Started, queue.Finished),
		s.move(received.ID, queue.Received, queue.Claimed),
	}
	bad := s.move(delivered.ID, queue.Finished, queue.Delivered)
	for i := range len(good) + 1 {
		moves := append(append(append([]queue.Transition{}, good[:i]...), bad), good[i:]...)
		s.fails("a call with one conflict", s.Advance(s.ctx, moves...), queue.ErrConflict)
		for _, want := range []queue.Job{claimed, started, received, delivered} {
			s.same("a job of a call that failed", s.get(want.ID), want)
		}
		s.lacks(started.ID, queue.Outcome)
		s.same("the counts", s.countsNow(), counts)
		s.leases("the lease is kept and no other job became ready")
	}
	s.advance(good...)
	s.holds(started.ID, queue.Outcome, []byte("outcome of "+started.ID))
}

// advanceSeveral takes one job through its life in one call, with another
// between.
func advanceSeveral(s *store) {
	a, b := s.put(nil), s.put(nil)
	chain := []queue.State{
		queue.Received, queue.Claimed, queue.Held, queue.Claimed, queue.Started, queue.Waiting, queue.Started,
		queue.Waiting, queue.Started, queue.Finished, queue.Delivered,
	}
	var moves []queue.Transition
	var started time.Time
	for i, to := range chain[1:] {
		m := s.move(a.ID, chain[i], to)
		if to == queue.Started {
			started = m.At
		}
		moves = append(moves, m)
		if i == 4 {
			moves = append(moves, s.move(b.ID, queue.Received, queue.Claimed))
		}
	}
	s.advance(moves...)
	want := a
	want.Status.State, want.Status.Attempt, want.Status.Result = queue.Delivered, 3, queue.Succeeded
	want.Status.Started, want.Status.Changed = started, moves[len(moves)-1].At
	s.same("after a whole life in one call", s.get(a.ID), want)
	s.same("the other job", s.get(b.ID).Status.State, queue.Claimed)
	s.leases("only the other one can be leased", b)
	s.reopen()
	s.same("after a restart", s.get(a.ID), want)
}

func advanceSeveralBad(s *store) {
	a := s.put(nil)
	err := s.Advance(s.ctx, s.move(a.ID, queue.Received, queue.Claimed), s.move(a.ID, queue.Claimed, queue.Started),
		s.move(a.ID, queue.Claimed, queue.Started))
	s.fails("the same move twice in one call", err, queue.ErrConflict)
	err = s.Advance(s.ctx, s.move(a.ID, queue.Claimed, queue.Started), s.move(a.ID, queue.Received, queue.Claimed))
	s.fails("two moves in the wrong order", err, queue.ErrConflict)
	s.same("the job", s.get(a.ID), a)
}

// advanceSets checks the whole status after each kind of move. Until and why
// are told as long as they are true: a reason stays with a delivered report.
func advanceSets(s *store) {
	want := s.put(nil)
	step := func(m queue.Transition, set func(st *queue.Status)) {
		s.t.Helper()
		m.Job, m.From, m.At = want.ID, want.Status.State, s.at()
		s.advance(m)
		want.Status.State, want.Status.Changed = m.To, m.At
		set(&want.Status)
		s.same(m.From.String()+" to "+m.To.String(), s.get(want.ID), want)
	}
	until := s.clock.Now().Add(time.Hour)
	step(queue.Transition{To: queue.Claimed, ModCount: 5}, func(st *queue.Status) { st.ModCount = 5 })
	step(queue.Transition{To: queue.Held, Until: until, Why: "night"}, func(st *queue.Status) { st.Until, st.Why = until, "night" })
	step(queue.Transition{To: queue.Claimed, Approved: "amy"}, func(st *queue.Status) {
		st.Until, st.Why, st.Approved = time.Time{}, "", "amy"
	})
	step(queue.Transition{To: queue.Held, Why: "no window"}, func(st *queue.Status) { st.Why = "no window" })
	step(queue.Transition{To: queue.Claimed}, func(st *queue.Status) { st.Why = "" })
	step(queue.Transition{To: queue.Started}, func(st *queue.Status) { st.Started, st.Attempt = st.Changed, 1 })
	step(queue.Transition{To: queue.Waiting, Until: until, Why: "busy", Retry: true}, func(st *queue.Status) {
		st.Until, st.Why, st.Retries = until, "busy", 1
	})
	step(queue.Transition{To: queue.Started}, func(st *queue.Status) {
		st.Until, st.Why, st.Started, st.Attempt = time.Time{}, "", st.Changed, 2
	})
	step(queue.Transition{To: queue.Finished, Result: queue.Failed, Why: "exit 3", Outcome: []byte("x"), ModCount: 6}, func(st *queue.Status) {
		st.Result, st.Why, st.ModCount = queue.Failed, "exit 3", 6
	})
	step(queue.Transition{To: queue.Delivered, Report: "r1"}, func(st *queue.Status) { st.Report = "r1" })
	s.reopen()
	s.same("after a restart", s.get(want.ID), want)

	want = s.put(nil)
	step(queue.Transition{To: queue.Released, Why: "another agent"}, func(st *queue.Status) { st.Why = "another agent" })
	s.reopen()
	s.same("released, after a restart", s.get(want.ID), want)
}

func advanceResult(s *store) {
	for _, state := range []queue.State{queue.Received, queue.Claimed, queue.Held, queue.Started, queue.Waiting} {
		before := s.in(state, nil)
		m := s.move(before.ID, state, queue.Finished)
		m.Result = queue.NoResult
		if err := s.Advance(s.ctx, m); err == nil {
			s.t.Errorf("%s became finished without a result", state)
		}
		s.same("the job", s.get(before.ID), before)
		for i, r := range queue.Results() {
			j := before
			if i > 0 {
				j = s.in(state, nil)
			}
			m := s.move(j.ID, state, queue.Finished)
			m.Result = r
			s.advance(m)
			s.same("result", s.get(j.ID).Status.Result, r)
		}
	}
}

func advanceAttempts(s *store) {
	j := s.in(queue.Claimed, nil)
	for i := range 300 {
		from := queue.Waiting
		if i == 0 {
			from = queue.Claimed
		}
		wait := s.move(j.ID, queue.Started, queue.Waiting)
		wait.Retry = i%3 == 0
		s.advance(s.move(j.ID, from, queue.Started), wait)
	}
	got := s.get(j.ID).Status
	s.same("attempts", got.Attempt, 300)
	s.same("retries", got.Retries, 100)
}
