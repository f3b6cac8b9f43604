package queuetest

import (
	"io"
	"math/rand/v2"

	"github.com/sallyport-agent/sallyport/queue"
)

// bodySizes are those around the bounds that stores have: nothing, one byte,
// small, above 64 KiB, and larger than one page of anything.
func bodySizes() []int { return []int{0, 1, 4096, 64 << 10, 64<<10 + 1, 70_000, 3 << 20} }

// noise returns bytes that do not compress, the same for the same seed.
func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // the same bytes each time, on purpose
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func bodyChecks() []check {
	return []check{
		{"of every size", bodyOfEverySize},
		{"a part that was not written", bodyMissing},
		{"save only while started", saveOnlyStarted},
		{"saved state lasts from attempt to attempt", saveAcrossAttempts},
		{"an outcome without a connector", outcomeUnstarted},
		{"read while it changes", bodyReadWhileChanged},
	}
}

func bodyOfEverySize(s *store) {
	written := map[queue.ID][3][]byte{}
	for i, n := range bodySizes() {
		seed := uint64(3 * i)
		bodies := [3][]byte{noise(n, seed), noise(n, seed+1), noise(n, seed+2)}
		e := s.entry(nil)
		e.Message = bodies[0]
		s.putEntries(1, e)
		s.bring(e.Job, queue.Started)
		s.save(e.Job.ID, bodies[1])
		s.holds(e.Job.ID, queue.Saved, bodies[1])
		m := s.move(e.Job.ID, queue.Started, queue.Finished)
		m.Outcome = bodies[2]
		s.advance(m)
		written[e.Job.ID] = bodies
	}
	for range 2 {
		for id, bodies := range written {
			s.holds(id, queue.Message, bodies[0])
			s.holds(id, queue.Outcome, bodies[2])
		}
		s.reopen()
	}
}

func (s *store) save(id queue.ID, state []byte) {
	s.t.Helper()
	if err := s.Save(s.ctx, id, state); err != nil {
		s.t.Fatalf("save %d bytes for %s: %v", len(state), id, err)
	}
}

func bodyMissing(s *store) {
	j := s.in(queue.Started, nil)
	s.lacks(j.ID, queue.Saved)
	s.lacks(j.ID, queue.Outcome)
	s.lacks(j.ID, 0)
	s.lacks(j.ID, 77)
	s.lacks("prod/nobody", queue.Message)
}

func saveOnlyStarted(s *store) {
	for _, state := range queue.States() {
		j := s.in(state, nil)
		err := s.Save(s.ctx, j.ID, []byte("mine"))
		if state == queue.Started {
			if err != nil {
				s.t.Errorf("save while started: %v", err)
			}
			s.holds(j.ID, queue.Saved, []byte("mine"))
			continue
		}
		s.fails("save while "+state.String(), err, queue.ErrConflict)
		s.lacks(j.ID, queue.Saved)
	}
	s.fails("save for an unknown job", s.Save(s.ctx, "prod/nobody", nil), queue.ErrNotFound)
}

func saveAcrossAttempts(s *store) {
	j := s.in(queue.Started, nil)
	for i, n := range []int{10, 70_000, 0, 3 << 20, 5} {
		state := noise(n, uint64(i))
		s.save(j.ID, state)
		s.holds(j.ID, queue.Saved, state)
		s.advance(s.move(j.ID, queue.Started, queue.Waiting))
		s.reopen()
		s.holds(j.ID, queue.Saved, state)
		s.advance(s.move(j.ID, queue.Waiting, queue.Started))
		s.holds(j.ID, queue.Saved, state)
	}
	s.holds(j.ID, queue.Message, []byte("message of "+j.ID))
}

// outcomeUnstarted: denied, expired and canceled jobs have an outcome as well.
func outcomeUnstarted(s *store) {
	for _, from := range []queue.State{queue.Received, queue.Claimed, queue.Held, queue.Waiting} {
		j := s.in(from, nil)
		m := s.move(j.ID, from, queue.Finished)
		m.Result, m.Why, m.Outcome = queue.Denied, "no rule", []byte("denied by default")
		s.advance(m)
		s.reopen()
		s.holds(j.ID, queue.Outcome, []byte("denied by default"))
		s.same("why", s.get(j.ID).Status.Why, "no rule")
	}
}

// bodyReadWhileChanged reads one body to its end while others are written.
func bodyReadWhileChanged(s *store) {
	for _, n := range []int{70_000, 3 << 20} {
		body := noise(n, 1)
		e := s.entry(nil)
		e.Message = body
		s.putEntries(1, e)
		r, err := s.Open(s.ctx, e.Job.ID, queue.Message)
		if err != nil {
			s.t.Fatalf("open: %v", err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(r, head); err != nil {
			s.t.Fatalf("read: %v", err)
		}
		s.bring(e.Job, queue.Finished)
		for range 20 {
			s.put(nil)
		}
		rest, err := io.ReadAll(r)
		if err != nil || string(head)+string(rest) != string(body) {
			s.t.Errorf("a body of %d bytes changed while it was read: %d bytes, %v", n, len(head)+len(rest), err)
		}
		if err := r.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	}
}
