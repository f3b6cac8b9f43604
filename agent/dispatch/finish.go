package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// succeeded journals the outcome that a connector returned.
func (d *Dispatcher) succeeded(ctx context.Context, p *plan, out *connectors.Outcome) {
	result, why := queue.Succeeded, ""
	if out.Failure != nil {
		result, why = queue.Failed, p.scope.redact(out.Failure.Message)
	}
	move := queue.Transition{Result: result, Why: display(why)}
	if d.persist(ctx, p, func(ctx context.Context) error { return d.finishWith(ctx, p, move, d.fromOutcome(p, result, out)) }) && out.Journaled != nil {
		out.Journaled()
	}
}

// finish journals an ending that no connector gave. It reports whether it could.
func (d *Dispatcher) finish(ctx context.Context, p *plan, e ending) bool {
	return d.persist(ctx, p, func(ctx context.Context) error { return d.record(ctx, p, e) })
}

// record journals an ending once.
func (d *Dispatcher) record(ctx context.Context, p *plan, e ending) error {
	text := e.message
	if e.started && e.result == queue.Canceled {
		text += "; it had been started and may have had a part of its effect"
	}
	return d.finishWith(ctx, p, queue.Transition{Result: e.result, Why: display(e.message)}, d.fromEnding(p, e.result, text))
}

// repeat journals the outcome of the earlier run that a job reports again.
func (d *Dispatcher) repeat(ctx context.Context, p *plan) bool {
	return d.persist(ctx, p, func(ctx context.Context) error {
		move, err := d.repeated(ctx, p)
		if err != nil {
			return err
		}
		return d.journal(ctx, p, move)
	})
}

// wait moves a started job to waiting; a job that waits already gets the new
// time.
func (d *Dispatcher) wait(ctx context.Context, p *plan, move queue.Transition) {
	move.Job, move.From, move.To = p.job.ID, queue.Started, queue.Waiting
	move.Why = display(move.Why)
	d.persist(ctx, p, func(ctx context.Context) error {
		move.At = d.Now()
		return d.Queue.Advance(ctx, move)
	})
}

// persist makes a write that must not be lost: what happened is in no other
// place. A disk that takes no writes is waited for. It reports whether the write
// was made; false means that ctx ended (what the job did is asked again at the
// next start) or that another stage has moved the job.
func (d *Dispatcher) persist(ctx context.Context, p *plan, write func(context.Context) error) bool {
	for tries := 0; ; tries++ {
		// The write goes on when the agent stops: there is time for it.
		err := write(context.WithoutCancel(ctx))
		switch {
		case err == nil:
			return true
		case errors.Is(err, queue.ErrConflict), errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrNotFound):
			d.Log.WarnContext(ctx, "outcome not journaled", slog.String("job", string(p.job.ID)), slog.Any("err", err))
			return false
		}
		if tries == 0 {
			d.Log.ErrorContext(ctx, "outcome waits for the disk", slog.String("job", string(p.job.ID)),
				slog.Any("err", err), slog.String("hint", fault.HintOf(err)))
		}
		if d.Sleep(ctx, min(time.Second<<min(tries, 5), 30*time.Second)) != nil {
			return false
		}
	}
}

// finishWith journals a report as the job's outcome, in memory where it is
// small and spooled where it is not.
func (d *Dispatcher) finishWith(ctx context.Context, p *plan, move queue.Transition, r rendered) error {
	var err error
	if r.large() {
		if move.Spool, err = d.spool(ctx, r); err != nil {
			return err
		}
	} else if move.Outcome, err = r.encode(); err != nil {
		return err
	}
	return d.journal(ctx, p, move)
}

// journal makes the move to finished.
func (d *Dispatcher) journal(ctx context.Context, p *plan, move queue.Transition) error {
	move.Job, move.From, move.To, move.At = p.job.ID, p.job.Status.State, queue.Finished, d.Now()
	if err := d.Queue.Advance(ctx, move); err != nil {
		return err
	}
	job := p.job
	job.Status.State, job.Status.Result, job.Status.Changed, job.Status.Why = queue.Finished, move.Result, move.At, move.Why
	d.Finished(job)
	return nil
}

func (d *Dispatcher) spool(ctx context.Context, r rendered) (queue.Spooled, error) {
	s, err := d.Queue.Spool(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.writeTo(s); err != nil {
		return nil, errors.Join(fmt.Errorf("spool the report: %w", err), s.Discard())
	}
	return s.Done()
}

// display shortens a text for the job's record; the report has it whole.
func display(s string) string {
	const most = 500
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
