package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Run brings reports until ctx ends, and returns when what was under way is
// done. Only the end of requests cuts that: a request that is cut leaves reports
// of which nobody knows whether they arrived. Failures are logged and tried
// again without end. There are more senders than requests in flight: while those
// of some are under way, the others read their reports and journal what arrived.
func (d *Delivery) Run(ctx, requests context.Context) {
	var all sync.WaitGroup
	for range 2 * d.InFlight {
		all.Go(func() { d.send(ctx, requests) })
	}
	all.Wait()
}

func (d *Delivery) send(ctx, requests context.Context) {
	for ctx.Err() == nil {
		res, err := d.Step(requests)
		if err != nil && ctx.Err() == nil {
			d.Log.WarnContext(ctx, "reports wait", slog.Any("err", err), slog.String("hint", fault.HintOf(err)))
		}
		if res.Again {
			d.Wake()
			continue
		}
		if res.Delivered > 0 && err == nil {
			continue // while it was under way, more may have come
		}
		d.idle(ctx, res.Next)
	}
}

// idle waits for a wake-up or until something is due.
func (d *Delivery) idle(ctx context.Context, next time.Time) {
	wait := time.Minute // a wake-up is never missed; this is for a clock that jumped
	if resting := d.Status().Resting; resting.After(next) {
		next = resting
	}
	if !next.IsZero() {
		wait = min(wait, max(next.Sub(d.Now()), time.Millisecond))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.wake:
	case <-timer.C:
	}
}

// Drain brings reports until none is left that could be brought now, or ctx
// ends. It returns how many are left, counted up to a thousand: they are
// brought after the next start, and an outage can have left a million.
func (d *Delivery) Drain(ctx context.Context) int {
	for ctx.Err() == nil {
		res, err := d.Step(ctx)
		if err == nil && (res.Delivered > 0 || res.Again) {
			continue
		}
		break
	}
	jobs, err := d.Queue.Undelivered(context.WithoutCancel(ctx), 1000)
	if err != nil {
		return -1
	}
	left := 0
	for _, j := range jobs {
		if j.Instance == d.Instance {
			left++
		}
	}
	return left
}
