package queuetest_test

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

var errInjected = errors.New("injected")

func newMemory() *queuetest.Memory {
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	return queuetest.NewMemory(func() time.Time { return now })
}

// TestFailingNothing: a wrapper that never fails passes the whole suite.
func TestFailingNothing(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(queue.Queue, func(string) error) queue.Queue{
		"before": queuetest.Failing, "after": queuetest.FailingAfter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queuetest.Run(t, queuetest.Factory{
				New: func(_ testing.TB, now func() time.Time) queuetest.Open {
					m := queuetest.NewMemory(now)
					return func() (queue.Queue, error) {
						m.Reopen()
						return wrap(m, func(string) error { return nil }), nil
					}
				},
				Walks: 2,
			})
		})
	}
}

// calls makes each call that can fail, on a queue with the started job
// "prod/1", and returns its error.
func calls(t *testing.T, q queue.Queue) map[string]func() error {
	t.Helper()
	ctx := t.Context()
	return map[string]func() error{
		"put": func() error {
			_, err := q.Put(ctx, []queue.Entry{{Job: queue.Job{ID: "prod/2", Instance: "prod", SysID: "2", Run: 1}}})
			return err
		},
		"advance": func() error {
			return q.Advance(ctx, queue.Transition{Job: "prod/1", From: queue.Started, To: queue.Waiting})
		},
		"mark":  func() error { return q.Mark(ctx, queue.Mark{Job: "prod/1", ModCount: 7}) },
		"save":  func() error { return q.Save(ctx, "prod/1", []byte("s")) },
		"spool": func() error { _, err := q.Spool(ctx); return err },
		"spool write": func() error {
			sp, err := q.Spool(ctx)
			if err != nil {
				return err
			}
			_, err = sp.Write([]byte("x"))
			return err
		},
		"spool done": func() error {
			sp, err := q.Spool(ctx)
			if err != nil {
				return err
			}
			_, err = sp.Done()
			return err
		},
		"lease":       func() error { _, err := q.Lease(ctx, func(queue.Slot) bool { return true }); return err },
		"get":         func() error { _, err := q.Get(ctx, "prod/1"); return err },
		"open":        func() error { _, err := q.Open(ctx, "prod/1", queue.Message); return err },
		"known":       func() error { _, err := q.Known(ctx, "prod", nil); return err },
		"undelivered": func() error { _, err := q.Undelivered(ctx, 1); return err },
		"unfinished": func() (last error) {
			for _, err := range q.Unfinished(ctx) {
				last = err
			}
			return last
		},
		"list": func() (last error) {
			for _, err := range q.List(ctx) {
				last = err
			}
			return last
		},
		"quarantined": func() (last error) {
			for _, err := range q.Quarantined(ctx) {
				last = err
			}
			return last
		},
		"health": func() error { return q.Health(ctx) },
		"forget": func() error { _, err := q.Forget(ctx, time.Time{}); return err },
		"close":  q.Close,
	}
}

// started puts a started job "prod/1".
func started(t *testing.T, q queue.Queue) {
	t.Helper()
	claim(t, q, "prod/1")
	if err := q.Advance(t.Context(), queue.Transition{Job: "prod/1", From: queue.Claimed, To: queue.Started}); err != nil {
		t.Fatal(err)
	}
}

// TestFailingEachCall: exactly the chosen call fails, with the chosen error.
func TestFailingEachCall(t *testing.T) {
	t.Parallel()
	for chosen := range calls(t, newMemory()) {
		for _, wrap := range []func(queue.Queue, func(string) error) queue.Queue{queuetest.Failing, queuetest.FailingAfter} {
			m := newMemory()
			started(t, m)
			q := wrap(m, func(op string) error {
				if op == chosen {
					return errInjected
				}
				return nil
			})
			if err := calls(t, q)[chosen](); !errors.Is(err, errInjected) {
				t.Errorf("%s: %v", chosen, err)
			}
			m.Reopen()
			for name, call := range calls(t, q) {
				if name == chosen || name == "close" || chosen == "spool" && (name == "spool write" || name == "spool done") ||
					chosen == "advance" && name == "save" {
					continue
				}
				if err := call(); errors.Is(err, errInjected) {
					t.Errorf("%s was to fail, but %s did", chosen, name)
				}
			}
		}
	}
}

// TestFailingBeforeAndAfter: one has had its effect, the other has not.
func TestFailingBeforeAndAfter(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	always := func(string) error { return errInjected }
	for name, c := range map[string]struct {
		wrap   func(queue.Queue, func(string) error) queue.Queue
		effect bool
	}{"before": {queuetest.Failing, false}, "after": {queuetest.FailingAfter, true}} {
		m := newMemory()
		started(t, m)
		q := c.wrap(m, always)
		all := calls(t, q)
		for _, op := range []string{"save", "mark", "put", "advance"} {
			if err := all[op](); !errors.Is(err, errInjected) {
				t.Errorf("%s: %s: %v", name, op, err)
			}
		}
		j, err := m.Get(ctx, "prod/1")
		if err != nil {
			t.Fatal(err)
		}
		body, savedErr := m.Open(ctx, "prod/1", queue.Saved)
		_, putErr := m.Get(ctx, "prod/2")
		got := []bool{savedErr == nil, putErr == nil, j.Status.ModCount == 7, j.Status.State == queue.Waiting}
		if slices.Contains(got, !c.effect) {
			t.Errorf("failing %s: effects of save, put, mark, advance: %v, want %v", name, got, c.effect)
		}
		if body != nil {
			if b, _ := io.ReadAll(body); string(b) != "s" {
				t.Errorf("saved %q", b)
			}
		}
	}
}

// TestFailingOwnErrors: a call that fails by itself keeps its own error.
func TestFailingOwnErrors(t *testing.T) {
	t.Parallel()
	q := queuetest.FailingAfter(newMemory(), func(string) error { return errInjected })
	if _, err := q.Get(t.Context(), "prod/1"); !errors.Is(err, queue.ErrNotFound) || errors.Is(err, errInjected) {
		t.Errorf("get: %v", err)
	}
}
