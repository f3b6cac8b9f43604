package queuetest

import (
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func putChecks() []check {
	return []check{
		{"every field is kept", putFields},
		{"the state is received", putState},
		{"known ids are skipped", putKnown},
		{"ids twice in one call are put once", putTwice},
		{"a new run is a job of its own", putRun},
		{"nothing to put", putNothing},
		{"a job that no store takes", putRefused},
		{"the caller may use its bytes again", putCopies},
	}
}

// fullJob sets every field of a job that Put takes.
func fullJob(j *queue.Job) {
	j.Instance, j.SysID, j.Run = "dev-2", "00f0a1b2c3d4e5f60718293a4b5c6d7e", 3
	j.Agent, j.Topic, j.Name, j.Source = "mid.server.Büro 1", "SSHCommand", "ls -l \"/tmp\"\n\t\x00end", "host→1"
	j.Correlator, j.Sequence, j.Priority = "c0rr", "186b282130d0000001", 7
	j.Created = time.Date(2023, 3, 5, 16, 1, 54, 0, time.UTC)
	j.Received = time.Date(2023, 3, 5, 16, 1, 55, 987654321, time.UTC)
	j.Adopted, j.Repeats = true, "dev-2/00f0a1b2c3d4e5f60718293a4b5c6d7e#2"
	j.Action, j.Target, j.Pool, j.Lane = "ssh.run", "linux", queue.Standard, "lane/1"
	j.Status.ModCount = 41
}

func putFields(s *store) {
	full, bare := s.entry(fullJob), s.entry(func(j *queue.Job) {
		*j = queue.Job{Instance: "i", SysID: "bare", Run: 1}
	})
	s.putEntries(2, full, bare)
	for range 2 {
		for _, e := range []queue.Entry{full, bare} {
			want := e.Job
			want.Status.State = queue.Received
			s.same("job", s.get(e.Job.ID), want)
			s.holds(e.Job.ID, queue.Message, e.Message)
			s.lacks(e.Job.ID, queue.Saved)
			s.lacks(e.Job.ID, queue.Outcome)
		}
		s.reopen()
	}
}

func putState(s *store) {
	j := s.put(func(j *queue.Job) { j.Status.State = queue.Finished })
	if j.Status.State != queue.Received {
		s.t.Errorf("a job that was put is %s", j.Status.State)
	}
	s.leases("a job that is only received is leased to nobody")
}

func putKnown(s *store) {
	for _, state := range queue.States() {
		e := s.entry(nil)
		s.putEntries(1, e)
		want := s.bring(e.Job, state)
		again := e
		again.Job.Topic, again.Job.Status.ModCount, again.Message = "Other", 99, []byte("another message")
		s.putEntries(0, again)
		fresh := s.entry(nil)
		s.putEntries(1, again, fresh)
		s.same("a job that was "+state.String()+" when it was put again", s.get(e.Job.ID), want)
		if state.Unstarted() {
			s.holds(e.Job.ID, queue.Message, e.Message)
		}
		s.reopen()
		s.putEntries(0, again, fresh)
		s.same("the same after a restart", s.get(e.Job.ID), want)
	}
}

func putTwice(s *store) {
	e, other := s.entry(nil), s.entry(nil)
	again := e
	again.Message = []byte("another message")
	s.putEntries(2, e, again, other, e)
	s.holds(e.Job.ID, queue.Message, e.Message)
	s.same("jobs", s.ids(s.Unfinished(s.ctx)), []queue.ID{e.Job.ID, other.Job.ID})
}

func putRun(s *store) {
	first := s.in(queue.Delivered, nil)
	second := s.put(func(j *queue.Job) { j.SysID, j.Run = first.SysID, 2 })
	s.same("id", second.ID, first.ID+"#2")
	s.same("the first run", s.get(first.ID), first)
	s.same("the state of the second", second.Status.State, queue.Received)
}

func putNothing(s *store) {
	s.putEntries(0)
	s.advance()
	s.mark()
}

// putRefused: one bad job keeps all of its call out.
func putRefused(s *store) {
	for name, change := range map[string]func(*queue.Job){
		"no id":                  func(j *queue.Job) { j.ID = "" },
		"an id of another job":   func(j *queue.Job) { j.ID += "0" },
		"an id of another run":   func(j *queue.Job) { j.Run = 2 },
		"an id beyond all bound": func(j *queue.Job) { j.SysID = strings.Repeat("a", 70_000); j.ID = queue.NewID(j.Instance, j.SysID, 1) },
	} {
		good, bad := s.entry(nil), s.entry(nil)
		change(&bad.Job)
		for _, entries := range [][]queue.Entry{{good, bad}, {bad, good}} {
			added, err := s.Put(s.ctx, entries)
			if added != 0 || err == nil || fault.KindOf(err) != fault.Invalid {
				s.t.Errorf("%s: %d added, %v", name, added, err)
			}
		}
		_, err := s.Get(s.ctx, good.Job.ID)
		s.fails("get the other job of the call", err, queue.ErrNotFound)
	}
}

func putCopies(s *store) {
	e := s.entry(nil)
	want := append([]byte{}, e.Message...)
	s.putEntries(1, e)
	scribble(e.Message)
	s.advance(s.move(e.Job.ID, queue.Received, queue.Claimed), s.move(e.Job.ID, queue.Claimed, queue.Started))
	state, outcome := []byte("saved state"), []byte("the outcome")
	if err := s.Save(s.ctx, e.Job.ID, state); err != nil {
		s.t.Fatalf("save: %v", err)
	}
	scribble(state)
	s.holds(e.Job.ID, queue.Saved, []byte("saved state"))
	m := s.move(e.Job.ID, queue.Started, queue.Finished)
	m.Outcome = outcome
	s.advance(m)
	scribble(outcome)
	s.holds(e.Job.ID, queue.Message, want)
	s.holds(e.Job.ID, queue.Outcome, []byte("the outcome"))
}

func scribble(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}
