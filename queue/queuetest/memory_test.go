package queuetest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Factory{
		New: func(_ testing.TB, now func() time.Time) queuetest.Open {
			m := queuetest.NewMemory(now)
			return func() (queue.Queue, error) {
				m.Reopen()
				return m, nil
			}
		},
		Walks: 20, Steps: 500,
	})
}

// TestMemoryInBubble waits for a due job in virtual time.
func TestMemoryInBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		q := queuetest.NewMemory(time.Now)
		claim(t, q, "prod/1")
		begin := time.Now()
		if err := q.Advance(ctx, queue.Transition{
			Job: "prod/1", From: queue.Claimed, To: queue.Held, At: begin, Until: begin.Add(time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
		var leased *queue.Job
		for leased == nil {
			changed := q.Changed()
			var err error
			if leased, err = q.Lease(ctx, func(queue.Slot) bool { return true }); err != nil {
				t.Fatal(err)
			}
			if leased == nil {
				select {
				case <-changed:
				case <-time.After(time.Until(q.NextDue())):
				}
			}
		}
		if waited := time.Since(begin); waited != time.Hour {
			t.Errorf("leased after %v, want an hour", waited)
		}
	})
}

// claim puts a job and claims it.
func claim(t *testing.T, q queue.Queue, id queue.ID) {
	t.Helper()
	instance, sysID, run, err := id.Split()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Put(t.Context(), []queue.Entry{{
		Job: queue.Job{ID: id, Instance: instance, SysID: sysID, Run: run}, Message: []byte("m"),
	}}); err != nil {
		t.Fatal(err)
	}
	if err := q.Advance(t.Context(), queue.Transition{Job: id, From: queue.Received, To: queue.Claimed}); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkMemoryLife(b *testing.B) {
	ctx := context.Background()
	now := time.Unix(1, 0)
	q := queuetest.NewMemory(func() time.Time { return now })
	for i := 0; b.Loop(); i++ {
		id := queue.NewID("prod", "a", i+1)
		_, _ = q.Put(ctx, []queue.Entry{{Job: queue.Job{ID: id, Instance: "prod", SysID: "a", Run: i + 1}}})
		_ = q.Advance(ctx, queue.Transition{Job: id, From: queue.Received, To: queue.Claimed, At: now})
		if j, _ := q.Lease(ctx, func(queue.Slot) bool { return true }); j == nil || j.ID != id {
			b.Fatal("not leased")
		}
		err := q.Advance(ctx, queue.Transition{Job: id, From: queue.Claimed, To: queue.Started, At: now},
			queue.Transition{Job: id, From: queue.Started, To: queue.Finished, At: now, Result: queue.Succeeded},
			queue.Transition{Job: id, From: queue.Finished, To: queue.Delivered, At: now})
		if err != nil {
			b.Fatal(err)
		}
	}
}
