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

// errRestarted is why a job that was started is looked at again.
var errRestarted = errors.New("the agent ended while it ran")

// Resume returns a task for each job that an earlier process had started. Call
// it once, before the first Next. Broken records are logged and left out.
func (d *Dispatcher) Resume(ctx context.Context) ([]Task, error) {
	var tasks []Task
	for job, err := range d.Queue.Unfinished(ctx) {
		switch {
		case errors.Is(err, queue.ErrBroken):
			d.Log.ErrorContext(ctx, "a job's record is broken and kept aside", slog.Any("err", err))
			continue
		case err != nil:
			return nil, fmt.Errorf("read unfinished jobs: %w", err)
		case job.Status.State != queue.Started:
			continue
		}
		slot := slotOf(job)
		d.slots.take(slot)
		tasks = append(tasks, func(ctx context.Context) {
			defer d.slots.give(slot)
			d.resume(ctx, job)
		})
	}
	return tasks, nil
}

// resume finds out what became of a started job.
func (d *Dispatcher) resume(ctx context.Context, job queue.Job) {
	p, end := d.prepare(ctx, job)
	if end != nil {
		// It was understood once, before it was started; now it is not.
		d.finish(ctx, p, unknown(p, end.message))
		return
	}
	for {
		err := d.open(ctx, p)
		if err == nil {
			break
		}
		if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Timeout {
			d.finish(ctx, p, unknown(p, p.explain(err)))
			return
		}
		d.Log.WarnContext(ctx, "cannot ask what became of a job", slog.String("job", string(job.ID)), slog.Any("err", err))
		if d.Sleep(ctx, 30*time.Second) != nil {
			return
		}
	}
	d.settle(ctx, p, errRestarted)
}

// settle ends the doubt about a started job: it asks the connector where that
// can tell, and otherwise the effect decides.
func (d *Dispatcher) settle(ctx context.Context, p *plan, why error) {
	found, out, err := d.ask(ctx, p)
	if err != nil {
		return // ctx ended: the next start asks again
	}
	log := d.Log.With(slog.String("job", string(p.job.ID)), slog.String("found", found.String()))
	log.InfoContext(ctx, "asked what became of a job", slog.Any("err", why))
	switch found {
	case connectors.FoundDone:
		if out == nil {
			d.finish(ctx, p, unknown(p, "the connector found it done and gave no outcome"))
			return
		}
		d.succeeded(ctx, p, out)
	case connectors.FoundRunning:
		d.run(ctx, p)
	case connectors.FoundNone:
		d.again(ctx, p, why)
	default:
		if p.effect.Repeatable() {
			d.again(ctx, p, why)
			return
		}
		d.finish(ctx, p, unknown(p, p.scope.redact(why.Error())))
	}
}

// again lets a started job be leased and started once more, at once.
func (d *Dispatcher) again(ctx context.Context, p *plan, why error) {
	d.wait(ctx, p, queue.Transition{Until: d.Now(), Why: "runs again: " + p.scope.redact(why.Error())})
}

// ask asks the session what became of the call, until it can tell. A session
// that cannot tell of any has found nothing certain. The error is the context's.
func (d *Dispatcher) ask(ctx context.Context, p *plan) (connectors.Found, *connectors.Outcome, error) {
	recoverer, ok := p.session.(connectors.Recoverer)
	if !ok {
		return connectors.FoundAmbiguous, nil, nil
	}
	for tries := 0; ; tries++ {
		found, out, err := d.recoverCall(ctx, p, recoverer)
		if err == nil {
			return found, out, nil
		}
		d.Log.WarnContext(ctx, "cannot ask what became of a job", slog.String("job", string(p.job.ID)), slog.Any("err", err))
		if k := fault.KindOf(err); k == fault.Internal || k == fault.Invalid {
			return connectors.FoundAmbiguous, nil, nil
		}
		if err := d.Sleep(ctx, backoff(tries, d.Jitter())); err != nil {
			return 0, nil, err
		}
	}
}

func (d *Dispatcher) recoverCall(ctx context.Context, p *plan, r connectors.Recoverer) (found connectors.Found, out *connectors.Outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fault.New(fault.Internal, "recover", p.served.Action.Name, fmt.Errorf("the connector panicked: %v", v))
		}
	}()
	return r.Recover(ctx, d.newCall(ctx, p))
}

// unknown is the ending of a job whose effect cannot be told.
func unknown(p *plan, why string) ending {
	what := p.served.Action.Name
	if p.subject.Text != "" && p.subject.Text != what {
		what += " (" + p.subject.Text + ")"
	}
	return ending{
		result: queue.Unknown, started: true,
		message: fmt.Sprintf("outcome unknown: %s. It may or may not have had its effect and was not run again. "+
			"Check by hand what %s did on %s", why, what, where(p)),
	}
}

// where names the place to look at.
func where(p *plan) string {
	switch {
	case p.subject.Host != "":
		return p.subject.Host
	case p.job.Source != "":
		return p.job.Source
	case p.job.Target != "":
		return "target " + p.job.Target
	default:
		return "the agent's host"
	}
}
