package bolt

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

var testKey = bytes.Repeat([]byte{7}, KeyBytes)

func testOptions(dir string) Options {
	return Options{Dir: dir, Key: testKey, FreeReserve: -1, Now: func() time.Time { return day0 }}
}

var day0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func mustOpen(tb testing.TB, o Options) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func testEntry(n int, body []byte) queue.Entry {
	sysID := fmt.Sprintf("%032x", n)
	return queue.Entry{
		Job: queue.Job{
			ID: queue.NewID("prod", sysID, 1), Instance: "prod", SysID: sysID, Run: 1, Topic: "Command", Name: "x",
			Sequence: fmt.Sprintf("%012d", n), Priority: 2, Pool: queue.Standard, Target: "linux", Created: day0, Received: day0,
		},
		Message: body,
	}
}

func put(tb testing.TB, s *Store, entries ...queue.Entry) {
	tb.Helper()
	n, err := s.Put(tb.Context(), entries)
	if err != nil || n != len(entries) {
		tb.Fatalf("put added %d of %d: %v", n, len(entries), err)
	}
}

func move(id queue.ID, from, to queue.State) queue.Transition {
	t := queue.Transition{Job: id, From: from, To: to, At: day0}
	if to == queue.Finished {
		t.Result, t.Outcome = queue.Succeeded, []byte("outcome of "+id)
	}
	return t
}

func advance(tb testing.TB, s *Store, moves ...queue.Transition) {
	tb.Helper()
	if err := s.Advance(tb.Context(), moves...); err != nil {
		tb.Fatal(err)
	}
}

// toState takes a received job to a state by the shortest way.
func toState(tb testing.TB, s *Store, id queue.ID, path ...queue.State) {
	tb.Helper()
	from := queue.Received
	for _, to := range path {
		advance(tb, s, move(id, from, to))
		from = to
	}
}

func body(tb testing.TB, s *Store, id queue.ID, part queue.Part) []byte {
	tb.Helper()
	r, err := s.Open(tb.Context(), id, part)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func anySlot(queue.Slot) bool { return true }

// flat runs fn n times at once.
func flat(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}
