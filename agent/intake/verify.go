package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// verify looks at all unstarted jobs when that is due: after a start, after a
// long gap, and every minute. At the first time it also takes over what the
// instance shows as processing here and the queue does not know.
func (in *Intake) verify(ctx context.Context) error {
	in.mu.Lock()
	due := in.verified.IsZero() || in.Now().Sub(in.verified) >= in.Reverify
	in.mu.Unlock()
	if !due {
		return nil
	}
	jobs, err := in.unstarted(ctx)
	if err != nil {
		return err
	}
	for len(jobs) > 0 {
		n := min(in.Page, len(jobs))
		if err := in.confirmOrReclaim(ctx, jobs[:n]); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	if err := in.audit(ctx); err != nil {
		return err
	}
	in.mu.Lock()
	first := in.verified.IsZero()
	in.verified = in.Now()
	in.mu.Unlock()
	if first {
		in.Verified()
	}
	return nil
}

// unstarted returns this instance's jobs that nothing was done for yet.
func (in *Intake) unstarted(ctx context.Context) ([]queue.Job, error) {
	if in.Queue.Counts().Unstarted[in.Instance] == (queue.PoolCounts{}) {
		return nil, nil
	}
	var jobs []queue.Job
	for j, err := range in.Queue.Unfinished(ctx) {
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			continue // a broken record; the start has reported it
		}
		if j.Instance == in.Instance && j.Status.State.Unstarted() {
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

// confirmOrReclaim looks at jobs and claims those again that are ready.
func (in *Intake) confirmOrReclaim(ctx context.Context, jobs []queue.Job) error {
	if err := in.confirm(ctx, jobs); err != nil {
		return err
	}
	var left []queue.Job
	for _, j := range jobs {
		now, err := in.Queue.Get(ctx, j.ID)
		if err != nil {
			return fmt.Errorf("look at %s: %w", j.ID, err)
		}
		if now.Status.State == queue.Received {
			left = append(left, now)
		}
	}
	return in.claim(ctx, left, nil)
}

// auditEvery is how often the processing records are read while all is well,
// and auditSoon how soon after a claim whose end is not known: it may have been
// executed late, on a record that had moved on.
const (
	auditEvery = time.Hour
	auditSoon  = 3 * time.Minute
)

// audit reads what the instance shows as processing by this agent and compares
// it with the queue. Once after the start it journals what the queue does not
// know: work of a MID Server of the same name, or of this agent before it lost
// its disk; dispatch decides by effect what may be done with it. Later, such a
// record is a sign of a second agent of the same name.
func (in *Intake) audit(ctx context.Context) error {
	if in.audited && in.Now().Before(in.nextAudit) {
		return nil
	}
	next := auditEvery
	for after := ""; ; {
		batch, err := in.Remote.Processing(ctx, after, in.Page)
		if err != nil {
			return fmt.Errorf("read what is in processing: %w", err)
		}
		if len(batch) == 0 {
			in.audited, in.nextAudit = true, in.Now().Add(next)
			return nil
		}
		after = batch[len(batch)-1].SysID
		settled, err := in.auditPage(ctx, batch)
		if err != nil {
			return err
		}
		if !settled {
			next = auditSoon
		}
	}
}

// auditPage reports whether all outputs could be settled whose report arrived.
// One that cannot keeps no work from being started: it only shows a state on the
// instance that is out of date, and is tried again soon.
func (in *Intake) auditPage(ctx context.Context, batch []ecc.Message) (settled bool, err error) {
	ids := make([]string, 0, len(batch))
	for _, m := range batch {
		ids = append(ids, m.SysID)
	}
	known, err := in.Queue.Known(ctx, in.Instance, ids)
	if err != nil {
		return false, fmt.Errorf("look up what is known: %w", err)
	}
	found, err := in.orphans(ctx, batch, known)
	if err != nil {
		return false, err
	}
	if err := in.takeOver(ctx, found.entries); err != nil {
		return false, err
	}
	settled = true
	if len(found.settled) > 0 {
		if err := in.Remote.Settle(ctx, found.settled); err != nil {
			settled = false
			in.Log.WarnContext(ctx, "outputs whose report arrived are still shown as processing", slog.Int("outputs", len(found.settled)), slog.Any("err", err))
		}
	}
	p := &page{}
	for _, m := range found.again {
		if err := in.runAgain(ctx, m, p); err != nil {
			return false, err
		}
	}
	return settled, in.confirmAll(ctx, p.reclaim)
}

// orphans are records in processing that no job here is at work on.
type orphans struct {
	entries []queue.Entry // not known: to be adopted
	settled []string      // reported: a late claim made them processing
	again   []ecc.Message // made ready again after its report and claimed late, or given away and back
}

// againCounts is how far a record's sys_mod_count is above the one that was
// seen at its claim when it was made ready again after its report: processed,
// ready, processing.
const againCounts = 3

func (in *Intake) orphans(ctx context.Context, batch []ecc.Message, known map[string]queue.Seen) (orphans, error) {
	var found orphans
	for _, m := range batch {
		if seen, ok := known[m.SysID]; ok {
			switch st := seen.Job.Status; {
			case st.State == queue.Released:
				found.again = append(found.again, m)
			case st.State != queue.Delivered:
			case m.ModCount >= st.ModCount+againCounts:
				found.again = append(found.again, m)
			default:
				found.settled = append(found.settled, m.SysID)
			}
			continue
		}
		if in.audited {
			in.Observed(m)
			continue
		}
		if mine, err := in.answer(ctx, m); err != nil || mine {
			continue // a heartbeat of the past: nobody waits for it
		}
		entry, ok := in.entry(ctx, m, 1)
		if !ok {
			return found, fault.New(fault.Unavailable, "take over", m.SysID, errors.New("its payload attachment could not be read"))
		}
		entry.Job.Adopted = true
		found.entries = append(found.entries, entry)
	}
	return found, nil
}

// confirmAll looks at jobs, a page at a time.
func (in *Intake) confirmAll(ctx context.Context, jobs []queue.Job) error {
	for len(jobs) > 0 {
		n := min(in.Page, len(jobs))
		if err := in.confirm(ctx, jobs[:n]); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

func (in *Intake) takeOver(ctx context.Context, entries []queue.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if _, err := in.Queue.Put(ctx, entries); err != nil {
		return fmt.Errorf("journal what is in processing: %w", err)
	}
	moves := make([]queue.Transition, 0, len(entries))
	for _, e := range entries {
		in.Log.WarnContext(ctx, "took over a message in processing", slog.String("job", string(e.Job.ID)), slog.String("topic", e.Job.Topic))
		moves = append(moves, queue.Transition{Job: e.Job.ID, From: queue.Received, To: queue.Claimed, At: in.Now()})
	}
	return in.advance(ctx, moves)
}
