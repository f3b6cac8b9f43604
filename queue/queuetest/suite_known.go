package queuetest

import (
	"fmt"

	"github.com/sallyport-agent/sallyport/queue"
)

func knownChecks() []check {
	return []check{
		{"in every state", knownStates},
		{"the last run", knownRuns},
		{"by instance", knownInstance},
		{"a long page", knownPage},
		{"names that begin alike", knownPrefixes},
	}
}

// known looks messages up and checks each answer against the job and its
// outcome's body.
func (s *store) known(instance string, sysIDs ...string) map[string]queue.ID {
	s.t.Helper()
	seen, err := s.Known(s.ctx, instance, sysIDs)
	if err != nil {
		s.t.Fatalf("known: %v", err)
	}
	ids := map[string]queue.ID{}
	for sysID, k := range seen {
		ids[sysID] = k.Job.ID
		s.same("a known job", k.Job, s.get(k.Job.ID))
		r, err := s.Open(s.ctx, k.Job.ID, queue.Outcome)
		if err == nil {
			_ = r.Close() // only whether it is there matters
		}
		if k.Outcome != (err == nil) {
			s.t.Errorf("%s: the outcome is kept: %t, but open gives %v", k.Job.ID, k.Outcome, err)
		}
	}
	return ids
}

func knownStates(s *store) {
	s.same("an empty store", s.known("prod", "a", "b"), map[string]queue.ID{})
	s.same("nothing asked", s.known("prod"), map[string]queue.ID{})
	want := map[string]queue.ID{}
	ask := []string{"unknown"}
	for _, state := range queue.States() {
		j := s.in(state, nil)
		want[j.SysID] = j.ID
		ask = append(ask, j.SysID)
	}
	s.same("a job of each state", s.known("prod", ask...), want)
	s.reopen()
	s.same("after a restart", s.known("prod", ask...), want)
	s.same("one asked twice", s.known("prod", ask[1], ask[1]), map[string]queue.ID{ask[1]: want[ask[1]]})
}

// knownRuns: each run may still be under way, or be final, when the next one
// is made.
func knownRuns(s *store) {
	for _, state := range queue.States() {
		first := s.in(state, nil)
		for run := 2; run <= 12; run++ {
			next := s.put(func(j *queue.Job) { j.SysID, j.Run = first.SysID, run })
			s.same(fmt.Sprintf("after run %d", run), s.known("prod", first.SysID), map[string]queue.ID{first.SysID: next.ID})
			if run%2 == 0 {
				s.bring(next, state)
			}
		}
		last := queue.NewID("prod", first.SysID, 12)
		s.same("last run", s.known("prod", first.SysID), map[string]queue.ID{first.SysID: last})
		// An earlier run that moves on does not become the last one.
		if state == queue.Finished {
			s.advance(s.move(first.ID, queue.Finished, queue.Delivered))
		}
		s.reopen()
		s.same("after a restart", s.known("prod", first.SysID), map[string]queue.ID{first.SysID: last})
	}
}

func knownInstance(s *store) {
	a := s.in(queue.Delivered, func(j *queue.Job) { j.Instance, j.SysID = "dev", "same" })
	b := s.in(queue.Claimed, func(j *queue.Job) { j.Instance, j.SysID = "prod", "same" })
	s.same("dev", s.known("dev", "same"), map[string]queue.ID{"same": a.ID})
	s.same("prod", s.known("prod", "same"), map[string]queue.ID{"same": b.ID})
	s.same("another", s.known("test", "same"), map[string]queue.ID{})
}

func knownPage(s *store) {
	var entries []queue.Entry
	var ask []string
	want := map[string]queue.ID{}
	for i := range 1000 {
		e := s.entry(nil)
		ask = append(ask, e.Job.SysID)
		if i%2 == 0 {
			entries = append(entries, e)
			want[e.Job.SysID] = e.Job.ID
		}
	}
	s.putEntries(len(entries), entries...)
	s.same("every other one", s.known("prod", ask...), want)
}

// knownPrefixes: no id is taken for another that begins alike.
func knownPrefixes(s *store) {
	long := s.put(func(j *queue.Job) { j.SysID = "abc" })
	other := s.put(func(j *queue.Job) { j.SysID, j.Run = "ab", 2 })
	s.same("known", s.known("prod", "a", "ab", "abc", "abcd", "ab#2", ""), map[string]queue.ID{"abc": long.ID, "ab": other.ID})
	s.same("another instance", s.known("pro", "abc", "d/abc"), map[string]queue.ID{})
}
