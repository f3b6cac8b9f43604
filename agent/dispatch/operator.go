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

// RunAgain makes a new run of a job whose report was delivered, and lets it
// start. It returns the new run's id.
func (d *Dispatcher) RunAgain(ctx context.Context, earlier queue.Job) (string, error) {
	message, err := d.body(ctx, earlier.ID, queue.Message)
	if err != nil {
		return "", fault.New(fault.Invalid, "run again", string(earlier.ID), fmt.Errorf("its message is no longer kept: %w", err)).
			WithHint("use Run again on the record of the instance")
	}
	job := earlier
	job.Run++
	job.ID = queue.NewID(job.Instance, job.SysID, job.Run)
	job.Received, job.Created, job.Adopted, job.Repeats = d.Now(), d.Now(), false, ""
	job.Status = queue.Status{State: queue.Received, ModCount: earlier.Status.ModCount, Changed: d.Now()}
	added, err := d.Queue.Put(ctx, []queue.Entry{{Job: job, Message: message}})
	if err != nil {
		return "", err
	}
	if added == 0 {
		return "", fault.New(fault.Conflict, "run again", string(earlier.ID), fmt.Errorf("%s exists", job.ID)).
			WithHint("name the last run of the message")
	}
	return string(job.ID), d.Queue.Advance(ctx, queue.Transition{Job: job.ID, From: queue.Received, To: queue.Claimed, At: d.Now()})
}
