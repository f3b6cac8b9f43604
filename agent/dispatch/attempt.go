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

// ErrCanceled is the cause of a running job's context when an operator or the
// instance cancels it.
var ErrCanceled = errors.New("canceled")

// attempt takes a leased job from claimed, held or waiting to its next state.
// It reports whether the job has left the state in which it was leased: then its
// lease has ended too, and somebody else may hold the next one.
func (d *Dispatcher) attempt(ctx context.Context, job queue.Job) (moved bool) {
	p, end := d.prepare(ctx, job)
	if job.Repeats != "" {
		return d.repeat(ctx, p)
	}
	if end == nil {
		end = d.refusal(p)
	}
	switch {
	case end != nil && end.hold:
		return d.hold(ctx, job, end.until, end.message)
	case end != nil:
		return d.finish(ctx, p, *end)
	}
	adopted := p.job.Adopted && p.job.Status.Attempt == 0
	if adopted && p.effect == connectors.AtMostOnce {
		return d.finish(ctx, p, unknown(p, errAdopted.Error()))
	}
	if err := d.open(ctx, p); err != nil {
		return d.unopened(ctx, p, err)
	}
	if job.Status.State.Unstarted() && !d.Judge.Started(p.request(), p.verdict) {
		return d.hold(ctx, job, d.Now().Add(time.Minute), p.verdict.Reason+": its frequency is used up")
	}
	if !d.journalStart(ctx, p) {
		return false
	}
	if adopted && p.effect == connectors.Recoverable {
		d.settle(ctx, p, errAdopted) // the connector is asked first
	} else {
		d.run(ctx, p)
	}
	return true
}

// errAdopted is why it is not known what became of a job.
var errAdopted = errors.New("it was in processing before this agent knew of it")

// refusal returns what keeps the job from being started, or made again, if
// anything does.
func (d *Dispatcher) refusal(p *plan) *ending {
	if p.job.Status.State.Unstarted() {
		return d.admit(p)
	}
	if p.saved == nil && !p.verdict.Allow {
		// Nothing of it is under way elsewhere: a rule that went counts.
		return &ending{result: queue.Denied, message: p.scope.redact(denied(p.verdict)), started: true}
	}
	return nil
}

// unopened deals with a target that cannot be opened: the job was not started,
// so that it can wait without a doubt about what it did.
func (d *Dispatcher) unopened(ctx context.Context, p *plan, err error) (moved bool) {
	if ctx.Err() != nil {
		return false
	}
	if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Timeout {
		return d.finish(ctx, p, ending{result: queue.Failed, message: p.explain(err), started: p.job.Status.Attempt > 0})
	}
	until := d.Now().Add(max(30*time.Second, fault.RetryAfterOf(err)))
	return d.hold(ctx, p.job, until, "waits for its target: "+p.scope.redact(err.Error()))
}

// hold puts a job aside until it is approved or due; one that was put aside
// before gets the new time.
func (d *Dispatcher) hold(ctx context.Context, job queue.Job, until time.Time, why string) (moved bool) {
	state := job.Status.State
	aside := state == queue.Held || state == queue.Waiting
	var err error
	if aside {
		if until.IsZero() {
			until = d.Now().Add(time.Minute) // the policy is asked again
		}
		err = d.Queue.Mark(ctx, queue.Mark{Job: job.ID, Until: until, Why: why})
	} else {
		err = d.Queue.Advance(ctx, queue.Transition{Job: job.ID, From: state, To: queue.Held, At: d.Now(), Until: until, Why: why})
	}
	if err != nil {
		d.overtaken(ctx, job, "hold", err)
	}
	return err == nil && !aside
}

// journalStart makes the start durable. Where that is not possible the job
// stays what it was, and nothing runs.
func (d *Dispatcher) journalStart(ctx context.Context, p *plan) bool {
	if ctx.Err() != nil {
		return false
	}
	moves := unhold(p.job, d.Now())
	from := p.job.Status.State
	if len(moves) > 0 {
		from = queue.Claimed
	}
	moves = append(moves, queue.Transition{Job: p.job.ID, From: from, To: queue.Started, At: d.Now()})
	if err := d.Queue.Advance(ctx, moves...); err != nil {
		d.overtaken(ctx, p.job, "start", err)
		return false
	}
	p.job.Status.State = queue.Started
	p.job.Status.Attempt++
	p.job.Status.Started = d.Now()
	return true
}

// unhold returns the move of a held job that is due back to claimed.
func unhold(job queue.Job, now time.Time) []queue.Transition {
	if job.Status.State != queue.Held {
		return nil
	}
	return []queue.Transition{{Job: job.ID, From: queue.Held, To: queue.Claimed, At: now, Approved: job.Status.Approved}}
}

// overtaken deals with a transition that the queue did not make: another stage
// moved the job meanwhile (which is fine), or the disk takes no writes (the job
// stays as it is).
func (d *Dispatcher) overtaken(ctx context.Context, job queue.Job, what string, err error) {
	if errors.Is(err, queue.ErrConflict) {
		return
	}
	d.Log.WarnContext(ctx, "job left as it was", slog.String("job", string(job.ID)), slog.String("op", what), slog.Any("err", err))
	if ctx.Err() == nil {
		_ = d.Sleep(ctx, time.Second) // the same job would come straight back
	}
}

// run makes the call of a started job and journals what it ended with.
func (d *Dispatcher) run(ctx context.Context, p *plan) {
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	runCtx, stop := context.WithDeadlineCause(runCtx, p.job.Status.Started.Add(p.timeout),
		fault.New(fault.Timeout, "run", p.served.Action.Name, fmt.Errorf("not done within %v", p.timeout)).
			WithHint("raise `timeout` in the rule that allows it, or give the job less to do"))
	defer stop()
	d.running.add(p.job, d.Now(), cancel)
	defer d.running.remove(p.job.ID)

	out, err := d.call(runCtx, p)
	switch {
	case err != nil && stopping(ctx):
		d.abandoned(ctx, p, err)
	case err != nil:
		d.failed(ctx, p, blame(runCtx, err))
	case out.Wait != nil:
		d.wait(ctx, p, queue.Transition{Until: out.Wait.Until, Why: p.scope.redact(out.Wait.Why)})
	default:
		d.succeeded(ctx, p, out)
	}
}

// stopping reports whether ctx ended because the agent stops.
func stopping(ctx context.Context) bool {
	return ctx.Err() != nil && errors.Is(context.Cause(ctx), connectors.ErrStopping)
}

// blame puts the reason why the context ended before what the connector made
// of it.
func blame(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if ctx.Err() == nil || errors.Is(err, cause) {
		return err
	}
	if errors.Is(cause, ErrCanceled) {
		return fault.New(fault.Canceled, "", "", cause)
	}
	return fmt.Errorf("%w (%w)", cause, err)
}

// call runs the connector and turns a panic or a missing outcome into an error.
func (d *Dispatcher) call(ctx context.Context, p *plan) (out *connectors.Outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			d.Log.ErrorContext(ctx, "connector panicked", slog.String("job", string(p.job.ID)), slog.Any("panic", r), slog.String("stack", stack()))
			out, err = nil, fault.New(fault.Internal, "run", p.served.Action.Name, errors.New("the connector panicked")).
				WithHint("report this with the agent's log; what the job did must be checked by hand")
		}
	}()
	out, err = p.session.Run(ctx, d.newCall(ctx, p))
	if err == nil && out == nil {
		err = fault.New(fault.Internal, "run", p.served.Action.Name, errors.New("the connector returned no outcome"))
	}
	return out, err
}

func (d *Dispatcher) newCall(ctx context.Context, p *plan) *connectors.Call {
	deadline, _ := ctx.Deadline()
	return &connectors.Call{
		Job: string(p.job.ID), Attempt: p.job.Status.Attempt, Action: p.served.Action.Name,
		Params: p.params, Grant: p.verdict.Grant, Deadline: deadline,
		Log:  d.Log.With(slog.String("job", string(p.job.ID)), slog.String("action", p.served.Action.Name)),
		Host: &host{d: d, id: p.job.ID, saved: p.saved, redact: p.scope.redact},
	}
}

// abandoned ends a task because the agent stops. The work goes on without the
// agent or was ended by the connector; the next start asks what became of it.
func (d *Dispatcher) abandoned(ctx context.Context, p *plan, err error) {
	d.Log.InfoContext(ctx, "job goes on without the agent, or is settled at the next start",
		slog.String("job", string(p.job.ID)), slog.Any("err", err))
}

// failed decides by the kind of the error and the effect of the action whether
// the attempt is made again, and otherwise what the outcome is.
func (d *Dispatcher) failed(ctx context.Context, p *plan, err error) {
	kind := fault.KindOf(err)
	switch {
	case kind == fault.Unavailable && p.job.Status.Retries < d.Retries,
		p.effect.Repeatable() && uncertain(kind) && p.job.Status.Retries < d.Retries:
		d.retry(ctx, p, err)
	case kind == fault.Canceled:
		d.finish(ctx, p, ending{result: queue.Canceled, message: p.explain(err), started: true})
	case uncertain(kind) && p.effect == connectors.Recoverable:
		d.settle(ctx, p, err)
	case uncertain(kind) && !p.effect.Repeatable():
		d.finish(ctx, p, unknown(p, p.explain(err)))
	default:
		d.finish(ctx, p, ending{result: queue.Failed, message: p.explain(err), started: true})
	}
}

// uncertain reports whether an error of that kind leaves open what happened.
func uncertain(k fault.Kind) bool {
	return k == fault.Unknown || k == fault.Timeout || k == fault.Internal
}

// retry puts the job aside and makes the attempt again later.
func (d *Dispatcher) retry(ctx context.Context, p *plan, err error) {
	delay := max(backoff(p.job.Status.Retries, d.Jitter()), fault.RetryAfterOf(err))
	d.wait(ctx, p, queue.Transition{Until: d.Now().Add(delay), Why: "tried again after: " + d.Redact(err.Error()), Retry: true})
}

// backoff returns the wait before the next try after a number of retries: 2 s,
// doubled up to 5 minutes, the upper half of it by chance.
func backoff(retries int, chance float64) time.Duration {
	const first, most = 2 * time.Second, 5 * time.Minute
	full := min(first<<min(retries, 20), most)
	return full/2 + time.Duration(chance*float64(full/2))
}

// explain is the text of an error with its hint, for a report.
func (p *plan) explain(err error) string {
	text := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		text += " (" + hint + ")"
	}
	return p.scope.redact(text)
}
