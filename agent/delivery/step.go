package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Result is what a Step did and when the next one is worth while.
type Result struct {
	Delivered int
	// Again reports that there was more to do than one Step does.
	Again bool
	// Next is when something becomes due; zero: when something is finished.
	Next time.Time
}

// Step brings one batch of reports on its way. Several Steps may run at once;
// they never touch the same report.
func (d *Delivery) Step(ctx context.Context) (Result, error) {
	res, err := d.step(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || res.Delivered > 0 {
		d.err = err
	}
	return res, err
}

func (d *Delivery) step(ctx context.Context) (Result, error) {
	if until := d.Status().Resting; until.After(d.Now()) {
		return Result{Next: until}, nil
	}
	jobs, res, err := d.take(ctx)
	if err != nil || len(jobs) == 0 {
		return res, err
	}
	defer d.release(jobs)
	delivered, err := d.bring(ctx, jobs)
	res.Delivered = delivered
	d.rest(err, delivered > 0)
	return res, err
}

// take reserves the next reports that are due, the most urgent pools first.
func (d *Delivery) take(ctx context.Context) ([]queue.Job, Result, error) {
	d.mu.Lock()
	limit := len(d.busy) + len(d.later) + d.Batch
	d.mu.Unlock()
	for ; ; limit *= 4 {
		jobs, err := d.Queue.Undelivered(ctx, limit)
		if err != nil {
			return nil, Result{}, fmt.Errorf("read what is to be reported: %w", err)
		}
		due, res := d.reserve(jobs)
		// The oldest outcomes may all be another instance's, which is not
		// reached: then it is worth while to look further.
		if len(due) > 0 || len(jobs) < limit {
			return due, res, nil
		}
	}
}

// reserve picks what is due among the undelivered jobs.
func (d *Delivery) reserve(jobs []queue.Job) ([]queue.Job, Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	var res Result
	due := jobs[:0:0]
	for _, j := range jobs {
		at := d.later[j.ID]
		switch {
		case j.Instance != d.Instance || d.busy[j.ID]:
		case at.After(now):
			if res.Next.IsZero() || at.Before(res.Next) {
				res.Next = at
			}
		default:
			delete(d.later, j.ID)
			due = append(due, j)
		}
	}
	slices.SortStableFunc(due, func(a, b queue.Job) int { return cmp.Compare(a.Pool, b.Pool) })
	if len(due) > d.Batch {
		due, res.Again = due[:d.Batch], true
	}
	for _, j := range due {
		d.busy[j.ID] = true
	}
	return due, res
}

func (d *Delivery) release(jobs []queue.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range jobs {
		delete(d.busy, j.ID)
	}
}

// postpone keeps a report from being touched before a time.
func (d *Delivery) postpone(id queue.ID, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.later[id] = until
}

// settled returns when the instance can no longer be working on a report that
// was sent: counted from when the request ended where this process saw that,
// and otherwise from the latest time at which it can have ended. It is zero for
// a report that was not sent.
func (d *Delivery) settled(j queue.Job) time.Time {
	if j.Status.Sent.IsZero() {
		return time.Time{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.Now(); j.Status.Sent.After(now) {
		// The clock was set back. What was sent may have left just now.
		if _, seen := d.ended[j.ID]; !seen {
			d.ended[j.ID] = now.Add(d.Longest)
		}
	}
	if ended, ok := d.ended[j.ID]; ok {
		return ended.Add(d.Settle)
	}
	return j.Status.Sent.Add(d.Longest + d.Settle)
}

// doubt notes that a request with this report ended without a sure answer.
func (d *Delivery) doubt(id queue.ID, ended time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended[id] = ended
	d.later[id] = ended.Add(d.Settle)
}

// rest slows all Steps down after requests that brought nothing, and lets them
// go on after one that did.
func (d *Delivery) rest(err error, progress bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil || progress {
		d.failures = 0
		d.resting = time.Time{}
		return
	}
	d.failures++
	pause := min(d.Pause<<min(d.failures-1, 10), time.Minute)
	d.resting = d.Now().Add(max(pause, fault.RetryAfterOf(err)))
}
