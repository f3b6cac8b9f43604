package queuetest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Get implements queue.Reader.
func (q *Memory) Get(ctx context.Context, id queue.ID) (queue.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "get"); err != nil {
		return queue.Job{}, err
	}
	m, err := q.find("get", id)
	if err != nil {
		return queue.Job{}, err
	}
	return m.job, nil
}

// Open implements queue.Reader.
func (q *Memory) Open(ctx context.Context, id queue.ID, part queue.Part) (io.ReadCloser, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "open body"); err != nil {
		return nil, err
	}
	m, err := q.find("open body", id)
	if err != nil {
		return nil, err
	}
	if int(part) >= len(m.bodies) || m.bodies[part] == nil {
		return nil, fault.New(fault.Invalid, "open body", string(id), queue.ErrNotFound).WithHint("look at the job's state first")
	}
	return io.NopCloser(bytes.NewReader(m.bodies[part])), nil
}

// Known implements queue.Reader.
func (q *Memory) Known(ctx context.Context, instance string, sysIDs []string) (map[string]queue.Seen, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "look up"); err != nil {
		return nil, err
	}
	known := make(map[string]queue.Seen, len(sysIDs))
	for _, id := range sysIDs {
		if m := q.last[message{instance, id}]; m != nil {
			known[id] = queue.Seen{Job: m.job, Outcome: m.bodies[queue.Outcome] != nil}
		}
	}
	return known, nil
}

// Undelivered implements queue.Reader.
func (q *Memory) Undelivered(ctx context.Context, limit int) ([]queue.Job, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "list undelivered"); err != nil {
		return nil, err
	}
	var found []*memoryJob
	for _, m := range q.open {
		if m.job.Status.State == queue.Finished {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *memoryJob) int { return cmp.Compare(a.finished, b.finished) })
	jobs := make([]queue.Job, 0, min(max(limit, 0), len(found)))
	for _, m := range found[:cap(jobs)] {
		jobs = append(jobs, m.job)
	}
	return jobs, nil
}

// Unfinished implements queue.Reader. It yields the jobs as they were when the
// loop began.
func (q *Memory) Unfinished(ctx context.Context) iter.Seq2[queue.Job, error] {
	return q.each(ctx, "list unfinished", func() []queue.Job {
		jobs := make([]queue.Job, 0, len(q.open))
		for _, m := range q.open {
			if !m.job.Status.State.Final() {
				jobs = append(jobs, m.job)
			}
		}
		return jobs
	})
}

// List implements queue.Reader. It yields the jobs as they were when the loop
// began.
func (q *Memory) List(ctx context.Context) iter.Seq2[queue.Job, error] {
	return q.each(ctx, "list", func() []queue.Job {
		jobs := make([]queue.Job, 0, len(q.all))
		for _, m := range slices.Backward(q.all) {
			jobs = append(jobs, m.job)
		}
		return jobs
	})
}

// each yields what collect, called under the lock, returns. The loop's body
// runs without the lock, so it may call the queue.
func (q *Memory) each(ctx context.Context, op string, collect func() []queue.Job) iter.Seq2[queue.Job, error] {
	return func(yield func(queue.Job, error) bool) {
		q.mu.Lock()
		err := q.ready(ctx, op)
		var jobs []queue.Job
		if err == nil {
			jobs = collect()
		}
		q.mu.Unlock()
		if err != nil {
			yield(queue.Job{}, err)
			return
		}
		for _, j := range jobs {
			if ctx.Err() != nil {
				yield(queue.Job{}, fault.New(fault.KindOf(ctx.Err()), op, "queue in memory", context.Cause(ctx)))
				return
			}
			if !yield(j, nil) {
				return
			}
		}
	}
}

// Quarantined implements queue.Reader: memory does not break.
func (q *Memory) Quarantined(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		q.mu.Lock()
		err := q.ready(ctx, "list quarantined")
		q.mu.Unlock()
		if err != nil {
			yield("", err)
		}
	}
}

// Counts implements queue.Keeper.
func (q *Memory) Counts() queue.Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := queue.Counts{
		States: map[queue.State]int{}, Unstarted: map[string]queue.PoolCounts{}, Results: map[queue.Result]uint64{},
		Delivered: q.sent, Bytes: q.bytes + q.spooled,
	}
	for _, r := range queue.Results() {
		if n := q.results[r]; n > 0 {
			c.Results[r] = n
		}
	}
	for _, m := range q.open {
		s := &m.job.Status
		if s.State.Final() {
			continue
		}
		c.States[s.State]++
		if s.State.Unstarted() {
			pools := c.Unstarted[m.job.Instance]
			pools[min(m.job.Pool, queue.Standard)]++
			c.Unstarted[m.job.Instance] = pools
		}
		if s.State == queue.Finished && (c.Oldest.IsZero() || s.Changed.Before(c.Oldest)) {
			c.Oldest = s.Changed
		}
	}
	return c
}

// Health implements queue.Keeper.
func (q *Memory) Health(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready(ctx, "check")
}

// Forget implements queue.Keeper. Days are those of UTC.
func (q *Memory) Forget(ctx context.Context, before time.Time) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "forget"); err != nil {
		return 0, err
	}
	y, mon, d := before.UTC().Date()
	day := time.Date(y, mon, d, 0, 0, 0, 0, time.UTC)
	old := func(m *memoryJob) bool { return m.job.Status.State.Final() && m.job.Status.Changed.Before(day) }
	dropped := 0
	for _, m := range q.all {
		if !old(m) {
			continue
		}
		dropped++
		delete(q.jobs, m.job.ID)
		for _, b := range m.bodies {
			q.bytes -= int64(len(b))
		}
	}
	if dropped == 0 {
		return 0, nil
	}
	q.all = slices.DeleteFunc(q.all, old)
	q.open = slices.DeleteFunc(q.open, func(m *memoryJob) bool { return m.job.Status.State.Final() })
	q.finals = 0
	clear(q.last)
	for _, m := range q.all {
		q.remember(m)
	}
	return dropped, nil
}
