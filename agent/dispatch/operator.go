package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Cancel ends a job: a running one is told to stop, one that is not running
// finishes as canceled, with a report. A job that has its outcome gives
// fault.Conflict.
func (d *Dispatcher) Cancel(ctx context.Context, id queue.ID, by string) error {
	if d.running.cancel(id, fmt.Errorf("%w by %s", ErrCanceled, by)) {
		return nil
	}
	job, err := d.Queue.Get(ctx, id)
	if err != nil {
		return err
	}
	switch job.Status.State {
	case queue.Received, queue.Claimed, queue.Held, queue.Waiting:
		p, _ := d.prepare(ctx, job)
		e := ending{result: queue.Canceled, message: fmt.Sprintf("%v by %s", ErrCanceled, by), started: job.Status.Attempt > 0}
		return d.record(ctx, p, e)
	case queue.Started:
		return fault.New(fault.Conflict, "cancel", string(id), errors.New("it is between two attempts")).WithHint("try again in a moment")
	default:
		return fault.New(fault.Conflict, "cancel", string(id), fmt.Errorf("it is %s already", job.Status.State)).
			WithHint("see `sallyport jobs show` for its outcome")
	}
}

// Approve lets a held job start.
func (d *Dispatcher) Approve(ctx context.Context, id queue.ID, by string) error {
	job, err := d.Queue.Get(ctx, id)
	if err != nil {
		return err
	}
	if job.Status.State != queue.Held {
		return fault.New(fault.Conflict, "approve", string(id), fmt.Errorf("it is %s, not held", job.Status.State)).
			WithHint("`sallyport jobs list --state held` names what waits for an approval")
	}
	return d.Queue.Advance(ctx, queue.Transition{Job: id, From: queue.Held, To: queue.Claimed, At: d.Now(), Approved: by})
}
