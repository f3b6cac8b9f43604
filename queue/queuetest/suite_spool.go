package queuetest

import (
	"github.com/sallyport-agent/sallyport/queue"
)

func spoolChecks() []check {
	return []check{
		{"of every size, in pieces", spoolSizes},
		{"it goes before a plain outcome", spoolAndOutcome},
		{"a refused move leaves it", spoolRefused},
		{"it is used once", spoolOnce},
		{"discarded", spoolDiscarded},
		{"discard after done does nothing", spoolDiscardAfterDone},
		{"unused ones are removed", spoolUnused},
		{"two at a time", spoolTwo},
	}
}

// spoolPieces begins a spool and writes a body in pieces of uneven size.
func (s *store) spoolPieces(body []byte) queue.Spool {
	s.t.Helper()
	sp, err := s.Spool(s.ctx)
	if err != nil {
		s.t.Fatalf("spool: %v", err)
	}
	for piece := 1; len(body) > 0; piece = piece*3 + 1 {
		n := min(piece, len(body), 200_000)
		if got, err := sp.Write(body[:n]); err != nil || got != n {
			s.t.Fatalf("write %d bytes: %d, %v", n, got, err)
		}
		body = body[n:]
	}
	return sp
}

// spooled returns a body that was written and ended.
func (s *store) spooled(body []byte) queue.Spooled {
	s.t.Helper()
	done, err := s.spoolPieces(body).Done()
	if err != nil {
		s.t.Fatalf("end spool: %v", err)
	}
	s.same("size", done.Size(), int64(len(body)))
	return done
}

// finishWith moves a started job to finished with a spooled body.
func (s *store) finishWith(id queue.ID, sp queue.Spooled) queue.Transition {
	m := s.move(id, queue.Started, queue.Finished)
	m.Outcome, m.Spool = nil, sp
	return m
}

func spoolSizes(s *store) {
	written := map[queue.ID][]byte{}
	for i, n := range bodySizes() {
		body := noise(n, uint64(i))
		j := s.in(queue.Started, nil)
		s.advance(s.finishWith(j.ID, s.spooled(body)))
		s.holds(j.ID, queue.Outcome, body)
		written[j.ID] = body
	}
	s.reopen()
	for id, body := range written {
		s.holds(id, queue.Outcome, body)
	}
}

// spoolAndOutcome: a move with both is refused, or the spooled body is used;
// the plain one never is.
func spoolAndOutcome(s *store) {
	j := s.in(queue.Started, nil)
	m := s.finishWith(j.ID, s.spooled([]byte("spooled")))
	m.Outcome = []byte("plain")
	if err := s.Advance(s.ctx, m); err != nil {
		s.same("the job of a refused move", s.get(j.ID), j)
		s.lacks(j.ID, queue.Outcome)
		m.Outcome = nil
		s.advance(m)
	}
	s.holds(j.ID, queue.Outcome, []byte("spooled"))
}

// spoolRefused: a move that conflicts, or fails with another of its call,
// leaves the body for the next try.
func spoolRefused(s *store) {
	body := noise(100_000, 1)
	j, other := s.in(queue.Started, nil), s.in(queue.Delivered, nil)
	sp := s.spooled(body)
	s.fails("finish a delivered job", s.Advance(s.ctx, s.finishWith(other.ID, sp)), queue.ErrConflict)
	good, bad := s.finishWith(j.ID, sp), s.move(other.ID, queue.Finished, queue.Delivered)
	s.fails("a conflict after it", s.Advance(s.ctx, good, bad), queue.ErrConflict)
	s.fails("a conflict before it", s.Advance(s.ctx, bad, good), queue.ErrConflict)
	s.lacks(j.ID, queue.Outcome)
	s.advance(good)
	s.holds(j.ID, queue.Outcome, body)
}

func spoolOnce(s *store) {
	a, b := s.in(queue.Started, nil), s.in(queue.Started, nil)
	body := noise(100_000, 1)
	sp := s.spooled(body)
	s.advance(s.finishWith(a.ID, sp))
	if err := s.Advance(s.ctx, s.finishWith(b.ID, sp)); err == nil {
		s.t.Error("a spooled body was used twice")
	}
	s.same("the second job", s.get(b.ID), b)
	s.holds(a.ID, queue.Outcome, body)
}

func spoolDiscarded(s *store) {
	sp := s.spoolPieces(noise(100_000, 1))
	if err := sp.Discard(); err != nil {
		s.t.Errorf("discard: %v", err)
	}
	if err := sp.Discard(); err != nil {
		s.t.Errorf("discard again: %v", err)
	}
	if _, err := sp.Write([]byte("more")); err == nil {
		s.t.Error("a discarded spool takes writes")
	}
	if _, err := sp.Done(); err == nil {
		s.t.Error("a discarded spool can be used")
	}
}

func spoolDiscardAfterDone(s *store) {
	body := noise(100_000, 1)
	sp := s.spoolPieces(body)
	done, err := sp.Done()
	if err != nil {
		s.t.Fatalf("end spool: %v", err)
	}
	if err := sp.Discard(); err != nil {
		s.t.Errorf("discard after done: %v", err)
	}
	if _, err := sp.Write([]byte("more")); err == nil {
		s.t.Error("a spool takes writes after it was ended")
	}
	j := s.in(queue.Started, nil)
	s.advance(s.finishWith(j.ID, done))
	s.holds(j.ID, queue.Outcome, body)
}

// spoolUnused: what no job uses does not fill the disk for ever.
func spoolUnused(s *store) {
	const large = 1 << 20
	j := s.in(queue.Started, nil)
	s.reopen()
	before := s.Counts().Bytes
	unused := s.spooled(noise(large, 1))
	s.spoolPieces(noise(large, 2)) // neither ended nor discarded: the process ends here
	s.reopen()
	if grown := s.Counts().Bytes - before; grown >= large {
		s.t.Errorf("%d bytes of unused spools are kept after a restart", grown)
	}
	if err := s.Advance(s.ctx, s.finishWith(j.ID, unused)); err == nil {
		s.t.Error("a spooled body that was removed at the restart was used")
	}
	s.same("the job", s.get(j.ID), j)
}

func spoolTwo(s *store) {
	a, b := s.in(queue.Started, nil), s.in(queue.Started, nil)
	one, two := s.spoolPieces(noise(100_000, 1)), s.spoolPieces(noise(90_000, 2))
	second, err := two.Done()
	if err != nil {
		s.t.Fatalf("end: %v", err)
	}
	first, err := one.Done()
	if err != nil {
		s.t.Fatalf("end: %v", err)
	}
	s.advance(s.finishWith(a.ID, first), s.finishWith(b.ID, second))
	s.holds(a.ID, queue.Outcome, noise(100_000, 1))
	s.holds(b.ID, queue.Outcome, noise(90_000, 2))
}
