package intake

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/queue"
)

// Standing is where a record of the ECC queue stands on the instance.
type Standing struct {
	Agent    string
	State    string
	ModCount int64
}

// Instance is what intake needs of an instance. Messages come from the agent's
// own outputs only: a record that does not fit the query is never returned.
type Instance interface {
	// Ready returns up to limit outputs in state ready, by priority, sequence
	// and sys_id, after skipping offset of them. last reports that nothing
	// follows.
	Ready(ctx context.Context, offset, limit int) (page []ecc.Message, last bool, err error)
	// Processing returns up to limit outputs in state processing whose sys_id is
	// above after, by sys_id.
	Processing(ctx context.Context, after string, limit int) ([]ecc.Message, error)
	// Look returns the standing of these records. Those that the instance does
	// not show are missing from the map.
	Look(ctx context.Context, sysIDs []string) (map[string]Standing, error)
	// Claim makes the instance show these outputs as processing. It is safe to
	// repeat.
	Claim(ctx context.Context, sysIDs []string) error
	// Settle makes the instance show these outputs as processed, where it still
	// shows a claim that overtook their report. It is safe to repeat.
	Settle(ctx context.Context, sysIDs []string) error
	// Payload fetches the payload of an output that the instance keeps as an
	// attachment.
	Payload(ctx context.Context, sysID string) (string, error)
}

// Route is where a message goes.
type Route struct {
	Action string // "" where nothing serves the topic
	Target string
	Lane   string
	Name   string // effective name and source
	Source string
}

// Router finds the route of a message. It has no effects and does not fail: a
// message that nothing serves has an empty action and is answered so.
type Router interface {
	Route(m ecc.Message) Route
	// Again reports whether a message that the instance made ready again after
	// its report was acknowledged may be run anew.
	Again(earlier queue.Job, m ecc.Message) bool
}

// Direct answers messages that must not depend on the journal (a heartbeat with
// a full disk). It returns false for all others.
type Direct interface {
	Answer(ctx context.Context, m ecc.Message) (mine bool, err error)
}

// Queue is the part of the queue that intake uses.
type Queue interface {
	Put(ctx context.Context, entries []queue.Entry) (int, error)
	Advance(ctx context.Context, moves ...queue.Transition) error
	Mark(ctx context.Context, marks ...queue.Mark) error
	Known(ctx context.Context, instance string, sysIDs []string) (map[string]queue.Seen, error)
	Get(ctx context.Context, id queue.ID) (queue.Job, error)
	Unfinished(ctx context.Context) iter.Seq2[queue.Job, error]
	Counts() queue.Counts
	Health(ctx context.Context) error
}

// Config is what an Intake is made of. All fields without a stated default are
// required.
type Config struct {
	Instance string // the configured name
	Agent    string // the agent value: "mid.server.edge1"
	Remote   Instance
	Queue    Queue
	Router   Router
	Direct   Direct
	Log      *slog.Logger
	Now      func() time.Time
	// Bounds limits unstarted jobs by pool; zero means the MID Server's 40
	// interactive, 400 expedited, 500 standard (KB0743566).
	Bounds queue.PoolCounts
	// Page is how many records are read at once; zero means 500.
	Page int
	// Stale is how long the instance may be out of contact before unstarted
	// jobs are looked at again; zero means four minutes, one less than the
	// instance's own monitor needs to call an agent Down.
	Stale time.Duration
	// Reverify is how often unstarted jobs are looked at while the contact lasts:
	// a held job must notice that it was reassigned or canceled. Zero means one
	// minute.
	Reverify time.Duration
	// Hold reports why no work may be taken now (paused, draining); "" lets it.
	Hold func() string
	// Verified, when set, is told that unstarted jobs may be started again, after
	// a start or a long gap.
	Verified func()
	// Observed is told every message of this agent that the queue did not know
	// although the instance shows it as processing.
	Observed func(m ecc.Message)
}

// Intake takes the work of one instance. Step must not be called concurrently;
// the other methods may be.
type Intake struct {
	Config

	mu       sync.Mutex
	contact  time.Time // last successful read
	verified time.Time // last time the unstarted jobs were looked at; zero: must be
	blocked  string    // why nothing is taken
	err      error     // what the last step ended with

	audited   bool      // the processing records were read since the start
	nextAudit time.Time // when they are read again

	doubts map[queue.ID]int // looks at a job that did not show its claim
	direct map[string]time.Time
	wanted [3]bool // pools that the last round found full with work left
	passed int     // records that the last round met and had no standard room for
	// deepened is when a round last read past a full pool.
	deepened time.Time
	wake     chan struct{}
}

// New returns an Intake.
func New(c Config) *Intake {
	if c.Bounds == (queue.PoolCounts{}) {
		c.Bounds = queue.PoolCounts{queue.Interactive: 40, queue.Expedited: 400, queue.Standard: 500}
	}
	if c.Page == 0 {
		c.Page = 500
	}
	if c.Stale == 0 {
		c.Stale = 4 * time.Minute
	}
	if c.Reverify == 0 {
		c.Reverify = time.Minute
	}
	if c.Hold == nil {
		c.Hold = func() string { return "" }
	}
	if c.Verified == nil {
		c.Verified = func() {}
	}
	if c.Observed == nil {
		c.Observed = func(ecc.Message) {}
	}
	return &Intake{
		Config: c, doubts: map[queue.ID]int{}, direct: map[string]time.Time{}, wake: make(chan struct{}, 1),
	}
}

// Wake makes Run poll at once. It never blocks.
func (in *Intake) Wake() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// Fresh reports whether unstarted jobs of the instance may be started: they
// were looked at since the agent started and since the last long gap, and the
// instance is in contact.
func (in *Intake) Fresh() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.verified.IsZero() && in.Now().Sub(in.contact) < in.Stale
}

// Status is what status shows of an Intake.
type Status struct {
	Contact time.Time // last successful read of the instance
	Blocked string    // why no work is taken
	Err     error     // what the last round ended with
}

// Status returns the state of the link.
func (in *Intake) Status() Status {
	in.mu.Lock()
	defer in.mu.Unlock()
	return Status{Contact: in.contact, Blocked: in.blocked, Err: in.err}
}

// touch notes contact with the instance, and that unstarted jobs need a look
// when the contact had been lost for long.
func (in *Intake) touch() {
	now := in.Now()
	in.mu.Lock()
	defer in.mu.Unlock()
	if gap := now.Sub(in.contact); gap < 0 || gap >= in.Stale {
		in.verified = time.Time{}
	}
	in.contact = now
}

func (in *Intake) id(sysID string, run int) queue.ID { return queue.NewID(in.Instance, sysID, run) }
