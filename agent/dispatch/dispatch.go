package dispatch

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// Queue is the part of the queue that dispatch uses.
type Queue interface {
	queue.Leaser
	Advance(ctx context.Context, moves ...queue.Transition) error
	Mark(ctx context.Context, marks ...queue.Mark) error
	Save(ctx context.Context, id queue.ID, state []byte) error
	Spool(ctx context.Context) (queue.Spool, error)
	Put(ctx context.Context, entries []queue.Entry) (int, error)
	Get(ctx context.Context, id queue.ID) (queue.Job, error)
	Open(ctx context.Context, id queue.ID, part queue.Part) (io.ReadCloser, error)
	Unfinished(ctx context.Context) iter.Seq2[queue.Job, error]
}

// Targets gives the open session of a configured target. Sessions are shared
// and owned by the implementation.
type Targets interface {
	// Session opens the target if need be. A target that is not configured gives
	// fault.Invalid, one that cannot be opened now fault.Unavailable.
	Session(ctx context.Context, connector, target string) (connectors.Session, error)
	// Credential resolves a credential for a host that it is meant for.
	Credential(ctx context.Context, name, host string) (connectors.Credential, error)
	// Room is how many jobs may run in a target at once; 0: as many as the pools
	// allow.
	Room(target string) int
}

// Request is what the policy judges.
type Request struct {
	Job     queue.Job
	Served  connectors.Served
	Params  connectors.Params
	Subject connectors.Subject
}

// Verdict is the policy's decision about a job.
type Verdict struct {
	Allow bool
	// Hold keeps an otherwise allowed job from starting, until then or until it
	// is approved.
	Hold  bool
	Until time.Time
	// Reason says in one line which rule decided, or that none allows it.
	Reason string
	// Remedy is the rule that would allow a denied job.
	Remedy string
	Grant  connectors.Grant
	// Effect, when set, overrides the action's own.
	Effect *connectors.Effect
	// MaxAge is how old a message may be when it starts; 0: 24 hours.
	MaxAge time.Duration
	// Timeout bounds one attempt; 0: the dispatcher's default.
	Timeout time.Duration
}

// Judge is the policy.
type Judge interface {
	// Judge decides without an effect.
	Judge(r Request) Verdict
	// Started tells that a job that was allowed starts now, for rules with a
	// frequency. It reports false when the frequency is used up since.
	Started(r Request, v Verdict) bool
}

// Config is what a Dispatcher is made of. All fields without a stated default
// are required.
type Config struct {
	Queue    Queue
	Registry *connectors.Registry
	Targets  Targets
	Judge    Judge
	Log      *slog.Logger
	Now      func() time.Time
	// Sleep waits or returns the context's error.
	Sleep func(ctx context.Context, d time.Duration) error
	// Pools are the numbers of workers; zero means the MID Server's 10, 20, 25.
	Pools queue.PoolCounts
	// Fresh reports whether unstarted jobs of an instance may be started.
	Fresh func(instance string) bool
	// Redact takes secrets out of everything that leaves.
	Redact func(string) string
	// RedactReader does the same to a body that is read piece by piece.
	RedactReader func(io.Reader) io.Reader
	// Scope returns the same two for the secrets of one job's message. Nil: such
	// secrets are masked in what is echoed alone.
	Scope func(secrets []string) (func(string) string, func(io.Reader) io.Reader)
	// Finished is told of every job that got its outcome, after it is durable.
	Finished func(queue.Job)
	// Timeout bounds one attempt where no rule does; zero means one hour.
	Timeout time.Duration
	// MostInline is the largest payload in bytes that goes inline; zero means 15 MB.
	MostInline int64
	// Retries is how often an attempt that changed nothing is made again; zero
	// means 5.
	Retries int
	// Jitter returns a number in [0,1) that spreads retries.
	Jitter func() float64
}

// Dispatcher runs jobs. All methods are safe for concurrent use.
type Dispatcher struct {
	Config

	slots   *slots
	running *running
	schemas *schemas
}

// New returns a Dispatcher. A connector whose parameter schema does not compile
// gives fault.Internal.
func New(c Config) (*Dispatcher, error) {
	if c.Pools == (queue.PoolCounts{}) {
		c.Pools = queue.PoolCounts{queue.Interactive: 10, queue.Expedited: 20, queue.Standard: 25}
	}
	if c.Timeout == 0 {
		c.Timeout = time.Hour
	}
	if c.MostInline == 0 {
		c.MostInline = 15_000_000
	}
	if c.Retries == 0 {
		c.Retries = 5
	}
	sch, err := compileSchemas(c.Registry)
	if err != nil {
		return nil, err
	}
	return &Dispatcher{Config: c, slots: newSlots(c.Pools, c.Targets.Room), running: newRunning(), schemas: sch}, nil
}

// Task runs one leased or resumed job to the end of its attempt. It must be
// called exactly once. It returns when the job left its state, or when ctx ended
// and the job is safe as it stands.
type Task func(ctx context.Context)

// Next leases the next job that may run and returns its task, or nil when there
// is none.
func (d *Dispatcher) Next(ctx context.Context) (Task, error) {
	job, err := d.Queue.Lease(ctx, func(s queue.Slot) bool { return d.Fresh(s.Instance) && d.slots.free(s) })
	if err != nil || job == nil {
		return nil, err
	}
	slot := slotOf(*job)
	d.slots.take(slot)
	return func(ctx context.Context) {
		defer d.slots.give(slot)
		if !d.attempt(ctx, *job) {
			d.Queue.Unlease(job.ID)
		}
	}, nil
}

// slotOf returns what a running job occupies. It must match what the queue
// groups by.
func slotOf(j queue.Job) queue.Slot {
	return queue.Slot{Instance: j.Instance, Pool: j.Pool, Target: j.Target, Lane: j.Lane}
}
