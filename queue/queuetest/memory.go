package queuetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Memory is a queue without a disk: every promise of the contract but that of
// surviving the process. It starts no goroutine, waits for nothing and never
// depends on the order of a map, so the same calls always have the same result.
// It can be used from many goroutines, from coroutines of one goroutine, and
// inside a testing/synctest bubble.
//
// A call whose context has ended does nothing and says so; there is no call of
// which the effect is unknown.
type Memory struct {
	now func() time.Time

	mu       sync.Mutex
	jobs     map[queue.ID]*memoryJob
	last     map[message]*memoryJob // the last run of each message
	all      []*memoryJob           // in the order of Put
	open     []*memoryJob           // those of all that are not final, and some that are
	finals   int                    // how many of open are final
	changed  chan struct{}          // nil when nobody asked since the last change
	closed   bool
	process  int    // counts reopenings: what is volatile belongs to one
	call     uint64 // counts calls of Advance, see memoryJob.planned
	finished int    // counts outcomes
	bytes    int64
	spooled  int64 // bytes of bodies that belong to no job yet
	results  map[queue.Result]uint64
	sent     uint64       // reports acknowledged
	asked    []slotAnswer // scratch of Lease
}

var _ queue.Queue = (*Memory)(nil)

// message names an ECC message.
type message struct{ instance, sysID string }

// memoryJob is a job with its bodies.
type memoryJob struct {
	job      queue.Job
	bodies   [queue.Outcome + 1][]byte // by Part; nil is no body
	leased   bool
	finished int // the how-manieth outcome it was
	// planned is the status that the moves of call number call lead to, while
	// they are checked and none is made yet.
	planned queue.Status
	call    uint64
}

// NewMemory returns an empty queue. now is the clock by which waiting and held
// jobs become due.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now: now, jobs: map[queue.ID]*memoryJob{}, last: map[message]*memoryJob{}, results: map[queue.Result]uint64{},
	}
}

// Reopen does to the queue what the end of its process and a new start do to a
// durable one: leases are gone, so are bodies that belong to no job, and the
// counts since opening begin at zero. A closed queue is open again.
func (q *Memory) Reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
	q.process++
	q.sent, q.spooled = 0, 0
	clear(q.results)
	for _, m := range q.open {
		m.leased = false
	}
	q.wake()
}

// Close closes the queue; a second Close does nothing.
func (q *Memory) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
	return nil
}

// ready returns why a call cannot be made. The caller holds the lock.
func (q *Memory) ready(ctx context.Context, op string) error {
	if q.closed {
		return fault.New(fault.Canceled, op, "queue in memory", queue.ErrClosed).WithHint("open the queue again")
	}
	if ctx.Err() != nil {
		return fault.New(fault.KindOf(ctx.Err()), op, "queue in memory", context.Cause(ctx))
	}
	return nil
}

// find returns a stored job. The caller holds the lock.
func (q *Memory) find(op string, id queue.ID) (*memoryJob, error) {
	if m := q.jobs[id]; m != nil {
		return m, nil
	}
	return nil, fault.New(fault.Invalid, op, string(id), queue.ErrNotFound).WithHint("list the jobs that are known")
}

// wake tells who waits that a Lease could succeed. The caller holds the lock.
func (q *Memory) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// Put implements queue.Journal.
func (q *Memory) Put(ctx context.Context, entries []queue.Entry) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "put"); err != nil {
		return 0, err
	}
	for i := range entries {
		if err := entries[i].Job.Check(); err != nil {
			return 0, err
		}
	}
	added := 0
	for i := range entries {
		e := &entries[i]
		if q.jobs[e.Job.ID] != nil {
			continue
		}
		m := &memoryJob{job: e.Job}
		m.job.Status.State = queue.Received
		q.jobs[e.Job.ID] = m
		q.all = append(q.all, m)
		q.open = append(q.open, m)
		q.remember(m)
		q.store(m, queue.Message, e.Message)
		added++
	}
	return added, nil
}

// remember makes m the last run of its message, unless a later one is known.
func (q *Memory) remember(m *memoryJob) {
	key := message{m.job.Instance, m.job.SysID}
	if known := q.last[key]; known == nil || known.job.Run <= m.job.Run {
		q.last[key] = m
	}
}

// store keeps a copy of a body.
func (q *Memory) store(m *memoryJob, part queue.Part, body []byte) {
	q.keep(m, part, append([]byte{}, body...))
}

// keep makes body, which is not nil, a body of m.
func (q *Memory) keep(m *memoryJob, part queue.Part, body []byte) {
	q.bytes += int64(len(body)) - int64(len(m.bodies[part]))
	m.bodies[part] = body
}

// Save implements queue.Journal.
func (q *Memory) Save(ctx context.Context, id queue.ID, state []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "save"); err != nil {
		return err
	}
	m, err := q.find("save", id)
	if err != nil {
		return err
	}
	if m.job.Status.State != queue.Started {
		return fault.New(fault.Conflict, "save", string(id), fmt.Errorf("%w: it is %s", queue.ErrConflict, m.job.Status.State)).
			WithHint("save only during an attempt")
	}
	q.store(m, queue.Saved, state)
	return nil
}

// Mark implements queue.Journal.
func (q *Memory) Mark(ctx context.Context, marks ...queue.Mark) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.ready(ctx, "mark"); err != nil {
		return err
	}
	for i := range marks {
		if _, err := q.find("mark", marks[i].Job); err != nil {
			return err
		}
	}
	for i := range marks {
		m := q.jobs[marks[i].Job]
		before := m.job.Status.Until
		m.job.Status = marks[i].Apply(m.job.Status)
		if !m.job.Status.Until.Equal(before) {
			q.wake()
		}
	}
	return nil
}
