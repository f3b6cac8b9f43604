package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Run resumes what an earlier process started and then runs jobs until ctx
// ends. The context that the jobs get ends only when jobs ends, so that a stop
// can give them their grace period: cancel ctx first, jobs later. Run returns
// when the last job has returned.
func (d *Dispatcher) Run(ctx, jobs context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	resumed, err := d.Resume(ctx)
	if err != nil {
		return err
	}
	for _, t := range resumed {
		tasks.Go(func() { t(jobs) })
	}
	for ctx.Err() == nil {
		changed, given := d.Queue.Changed(), d.slots.changed()
		task, err := d.Next(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			d.Log.ErrorContext(ctx, "cannot lease a job", slog.Any("err", err))
			_ = d.Sleep(ctx, time.Second)
		case task != nil:
			tasks.Go(func() { task(jobs) })
		default:
			d.rest(ctx, changed, given)
		}
	}
	return nil
}

// Wake makes Run look for jobs at once: what Fresh says has changed. It never
// blocks.
func (d *Dispatcher) Wake() { d.slots.wake() }

// rest waits until a lease could succeed.
func (d *Dispatcher) rest(ctx context.Context, changed, given <-chan struct{}) {
	// A second at the most, against a change that nobody told of.
	wait := time.Second
	if due := d.Queue.NextDue(); !due.IsZero() {
		wait = min(wait, max(due.Sub(d.Now()), time.Millisecond))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-given:
	case <-timer.C:
	}
}
