package queuetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// clock is the time of one test: it stands still but where the test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 5, 12, 0, 0, 123456789, time.UTC)} }

// Now returns the time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// add moves the time and returns the new one.
func (c *clock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// store is the store under test with what a test wants of it: a clock, jobs,
// and calls that end the test when they fail.
type store struct {
	queue.Queue
	t     *testing.T
	ctx   context.Context //nolint:containedctx,nolintlint // the context of one test
	clock *clock
	open  Open
	jobs  int
}

func newStore(t *testing.T, f Factory) *store {
	t.Helper()
	c := newClock()
	s := &store{t: t, ctx: t.Context(), clock: c, open: f.New(t, c.Now)}
	s.start()
	t.Cleanup(func() { _ = s.Close() }) // closed already where the test closes it
	return s
}

func (s *store) start() {
	s.t.Helper()
	q, err := s.open()
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	s.Queue = q
}

// reopen closes the store and opens it as a new process does.
func (s *store) reopen() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Fatalf("close: %v", err)
	}
	s.start()
}

// at returns a time that is later than every earlier one.
func (s *store) at() time.Time { return s.clock.add(time.Millisecond) }

// entry makes a new job with a message; change, unless nil, sets what matters
// to the test. Without it, jobs go in the order in which they were made.
func (s *store) entry(change func(*queue.Job)) queue.Entry {
	s.jobs++
	now := s.at()
	j := queue.Job{
		Instance: "prod", SysID: fmt.Sprintf("%032x", s.jobs), Run: 1, Agent: "mid.server.edge1", Topic: "Command",
		Name: "uptime", Source: "10.0.0.1", Sequence: fmt.Sprintf("%018x", s.jobs), Priority: 2, Pool: queue.Standard,
		Created: now.Add(-time.Minute).Truncate(time.Second), Received: now,
		Action: "command.run", Target: "local", Status: queue.Status{ModCount: 1, Changed: now},
	}
	if change != nil {
		change(&j)
	}
	j.ID = queue.NewID(j.Instance, j.SysID, j.Run)
	return queue.Entry{Job: j, Message: []byte("message of " + j.ID)}
}

// put journals a new job and returns it as it is stored.
func (s *store) put(change func(*queue.Job)) queue.Job {
	s.t.Helper()
	e := s.entry(change)
	s.putEntries(1, e)
	return s.get(e.Job.ID)
}

func (s *store) putEntries(want int, entries ...queue.Entry) {
	s.t.Helper()
	added, err := s.Put(s.ctx, entries)
	if err != nil || added != want {
		s.t.Fatalf("put %d entries: %d added, want %d; %v", len(entries), added, want, err)
	}
}

// in puts a new job and brings it into a state.
func (s *store) in(state queue.State, change func(*queue.Job)) queue.Job {
	s.t.Helper()
	return s.bring(s.put(change), state)
}

// bring moves a received job to a state.
func (s *store) bring(j queue.Job, state queue.State) queue.Job {
	s.t.Helper()
	from := queue.Received
	for _, to := range way(state) {
		s.advance(s.move(j.ID, from, to))
		from = to
	}
	return s.get(j.ID)
}

// way is the shortest way from received to a state.
func way(to queue.State) []queue.State {
	switch to {
	case queue.Received:
		return nil
	case queue.Claimed, queue.Released:
		return []queue.State{to}
	case queue.Held, queue.Started:
		return []queue.State{queue.Claimed, to}
	case queue.Waiting, queue.Finished:
		return []queue.State{queue.Claimed, queue.Started, to}
	default:
		return []queue.State{queue.Claimed, queue.Started, queue.Finished, queue.Delivered}
	}
}

// move is a transition with what it needs and nothing more.
func (s *store) move(id queue.ID, from, to queue.State) queue.Transition {
	t := queue.Transition{Job: id, From: from, To: to, At: s.at()}
	if to == queue.Finished {
		t.Result, t.Outcome = queue.Succeeded, []byte("outcome of "+id)
	}
	return t
}

func (s *store) advance(moves ...queue.Transition) {
	s.t.Helper()
	if err := s.Advance(s.ctx, moves...); err != nil {
		s.t.Fatalf("advance: %v", err)
	}
}

func (s *store) mark(marks ...queue.Mark) {
	s.t.Helper()
	if err := s.Mark(s.ctx, marks...); err != nil {
		s.t.Fatalf("mark: %v", err)
	}
}

func (s *store) get(id queue.ID) queue.Job {
	s.t.Helper()
	j, err := s.Get(s.ctx, id)
	if err != nil {
		s.t.Fatalf("get %s: %v", id, err)
	}
	return j
}

// lease leases the next job of any slot, or returns "".
func (s *store) lease() queue.ID {
	s.t.Helper()
	return s.leaseOf(func(queue.Slot) bool { return true })
}

func (s *store) leaseOf(free queue.Free) queue.ID {
	s.t.Helper()
	j, err := s.Lease(s.ctx, free)
	if err != nil {
		s.t.Fatalf("lease: %v", err)
	}
	if j == nil {
		return ""
	}
	s.same("the leased job", *j, s.get(j.ID))
	return j.ID
}

// leases checks which jobs are leased, in which order, before there is none.
func (s *store) leases(why string, want ...queue.Job) {
	s.t.Helper()
	var got, ids []queue.ID
	for id := s.lease(); id != ""; id = s.lease() {
		got = append(got, id)
	}
	for _, j := range want {
		ids = append(ids, j.ID)
	}
	s.same(why, got, ids)
}

// body returns a body of a job.
func (s *store) body(id queue.ID, part queue.Part) []byte {
	s.t.Helper()
	r, err := s.Open(s.ctx, id, part)
	if err != nil {
		s.t.Fatalf("open part %d of %s: %v", part, id, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		s.t.Fatalf("read part %d of %s: %v", part, id, err)
	}
	if err := r.Close(); err != nil {
		s.t.Fatalf("close part %d of %s: %v", part, id, err)
	}
	return b
}

// holds checks a body; large ones are compared and shown by their sums.
func (s *store) holds(id queue.ID, part queue.Part, want []byte) {
	s.t.Helper()
	got := s.body(id, part)
	if len(got) != len(want) || sha256.Sum256(got) != sha256.Sum256(want) {
		s.t.Errorf("part %d of %s holds %d bytes %.40q, want %d bytes %.40q", part, id, len(got), got, len(want), want)
	}
}

// lacks checks that a job has no such body.
func (s *store) lacks(id queue.ID, part queue.Part) {
	s.t.Helper()
	r, err := s.Open(s.ctx, id, part)
	if err == nil {
		_ = r.Close() // there should be none
	}
	s.fails(fmt.Sprintf("open part %d of %s", part, id), err, queue.ErrNotFound)
}

// fails checks that an error is the wanted one, as a fault that names its
// operation.
func (s *store) fails(what string, err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("%s: error %v, want %v", what, err, want)
		return
	}
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Op == "" {
		s.t.Errorf("%s: %q is no fault that says what failed", what, err)
	}
}

// same compares; times are equal when they are the same instant.
func (s *store) same(what string, got, want any) {
	s.t.Helper()
	if reflect.DeepEqual(got, want) {
		return // most are, and this is many times as fast
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
