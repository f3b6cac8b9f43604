package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/queue"
)

// sortSeen decides about a ready message that the queue knows. The count that
// the queue keeps tells a stale read from a message that someone made ready
// again.
func (in *Intake) sortSeen(m ecc.Message, seen queue.Seen, p *page) {
	st := seen.Job.Status
	higher := m.ModCount > st.ModCount
	switch {
	case st.State == queue.Released:
		// It was given away and came back: a new run of what never ran here.
		p.again = append(p.again, m)
	case st.State == queue.Delivered && higher:
		p.again = append(p.again, m)
	case st.State == queue.Delivered:
		// A page that is older than our report. Nothing to do.
	case st.State.Unstarted():
		p.reclaim = append(p.reclaim, seen.Job)
		if higher {
			p.marks = append(p.marks, queue.Mark{Job: seen.Job.ID, ModCount: m.ModCount})
		}
	case st.State == queue.Finished && !st.Sent.IsZero() && higher:
		// Its report may be there already, and it may have been made ready again
		// after that. Delivery finds out; until then it stays as it is.
	default:
		// Started, waiting or finished: it must not run again, and the report
		// that comes will settle it.
		p.claims = append(p.claims, m.SysID)
		if higher {
			p.marks = append(p.marks, queue.Mark{Job: seen.Job.ID, ModCount: m.ModCount})
		}
	}
}

// runAgain makes a new run of a message that is ready again: to be run where
// the action's effect or a rule allows it, else to report the earlier outcome
// once more.
func (in *Intake) runAgain(ctx context.Context, m ecc.Message, p *page) error {
	known, err := in.Queue.Known(ctx, in.Instance, []string{m.SysID})
	if err != nil {
		return fmt.Errorf("look up the earlier run: %w", err)
	}
	seen, ok := known[m.SysID]
	if !ok || !seen.Job.Status.State.Final() {
		return nil
	}
	entry, ok := in.entry(ctx, m, seen.Job.Run+1)
	if !ok {
		return nil
	}
	log := in.Log.With(slog.String("job", string(entry.Job.ID)), slog.String("topic", m.Topic))
	origin, err := in.origin(ctx, seen.Job)
	if err != nil {
		return err
	}
	neverRan := origin.Status.State == queue.Released
	// It was given away, and comes back as started: whoever had it meanwhile may
	// have run it.
	entry.Job.Adopted = neverRan && m.State == ecc.StateProcessing
	if neverRan || in.Router.Again(origin, m) {
		log.InfoContext(ctx, "ready again, a new run is made")
	} else {
		log.InfoContext(ctx, "ready again, the earlier outcome is reported again")
		entry.Job.Repeats = origin.ID
	}
	if _, err := in.Queue.Put(ctx, []queue.Entry{entry}); err != nil {
		return fmt.Errorf("journal a new run: %w", err)
	}
	p.reclaim = append(p.reclaim, entry.Job)
	return nil
}

// origin returns the run that a job stands for: itself, or the earlier one whose
// outcome it only reports again. What that one did counts, also where the job
// itself was given away before its report.
func (in *Intake) origin(ctx context.Context, job queue.Job) (queue.Job, error) {
	if job.Repeats == "" {
		return job, nil
	}
	origin, err := in.Queue.Get(ctx, job.Repeats)
	switch {
	case errors.Is(err, queue.ErrNotFound):
		// Forgotten meanwhile. It was reported, so that it counts as run.
		job.ID, job.Status = job.Repeats, queue.Status{State: queue.Delivered, Attempt: 1}
		return job, nil
	case err != nil:
		return job, fmt.Errorf("look up the run that is repeated: %w", err)
	}
	return origin, nil
}
