package queue

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Errors that callers branch on; a store wraps them in a fault.Error.
var (
	// ErrNotFound: no job of that id is stored.
	ErrNotFound = errors.New("no such job")
	// ErrConflict: the job is not in the state that the transition expects.
	ErrConflict = errors.New("the job is in another state")
	// ErrLocked: another process uses the store.
	ErrLocked = errors.New("in use by another process")
	// ErrNewer: the store was written by a newer version of this program.
	ErrNewer = errors.New("written by a newer version")
	// ErrBroken: a stored record cannot be read. It is kept aside (see
	// Queue.Quarantined) and stops nothing.
	ErrBroken = errors.New("broken record")
	// ErrFull: the disk is full, failing or read-only; nothing was changed, and
	// the same call can succeed later.
	ErrFull = errors.New("the disk takes no writes")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the queue is closed")
)

// Entry is a job to be put with its first body.
type Entry struct {
	Job     Job
	Message []byte // the whole ECC message, opaque to the queue
}

// Part names one body of a job.
type Part uint8

// The bodies of a job; each is stored under a key of its own, so that a
// transition never rewrites one.
const (
	Message Part = iota + 1 // written by Put
	Saved                   // the connector's own state, written by Save
	Outcome                 // written by the transition to Finished
)

// Transition moves one job from a state to the next. The move must be in the
// transition table and From must be the job's state, or the whole Advance call
// (but no other call that is committed with it) fails with ErrConflict and
// changes nothing. Several moves of one job in one call are made in order.
type Transition struct {
	Job  ID
	From State
	To   State
	At   time.Time // becomes Status.Changed (and Status.Started on a move to Started)

	ModCount int64     // replaces Status.ModCount when above zero
	Until    time.Time // for Held and Waiting
	Why      string    // for Held, Waiting, Released, and Finished where it is not plain
	Result   Result    // required for Finished
	Report   string    // for Delivered
	Approved string    // replaces Status.Approved unless empty (Held to Claimed)
	Retry    bool      // adds one to Status.Retries (Started to Waiting)
	// Outcome is the body for Finished; Spool, when set, is used instead.
	Outcome []byte
	Spool   Spooled
}

// Mark changes a job's status without a transition. Zero fields change nothing.
type Mark struct {
	Job      ID
	ModCount int64     // the message was seen again with this count
	Sent     time.Time // the report is about to leave
	Unsent   bool      // the report surely did not leave: Sent becomes zero
	Parts    int       // this many parts of the report are acknowledged
	Report   string
	// Until makes a waiting or held job due at another time.
	Until time.Time
	Why   string
}

// Slot is what a lease occupies. Jobs with the same slot are leased in the
// order of their sequence.
type Slot struct {
	Instance string
	Pool     Pool
	Target   string
	Lane     string
}

// Free reports whether a slot has room. It is asked about groups of jobs, not
// about each job, must be fast and must not call the queue.
type Free func(Slot) bool

// Seen is what the queue remembers of an ECC message: its last run.
type Seen struct {
	Job Job
	// Outcome reports whether the outcome's body is still kept.
	Outcome bool
}

// Counts is a cheap summary, kept up to date in memory.
type Counts struct {
	States      map[State]int         // jobs by state, final ones left out
	Unstarted   map[string]PoolCounts // received, claimed and held jobs by instance
	Results     map[Result]uint64     // outcomes since the store was opened
	Delivered   uint64                // reports acknowledged since the store was opened
	Oldest      time.Time             // when the oldest undelivered outcome was finished; zero: none
	Quarantined int                   // broken records kept aside
	Bytes       int64                 // size on disk, bodies included
}

// PoolCounts counts jobs by Pool.
type PoolCounts [3]int

// Spool is a body that is written piece by piece and sealed as it is written.
// It is not safe for concurrent use.
type Spool interface {
	io.Writer
	// Done makes the body durable and hands it over for one Transition.
	Done() (Spooled, error)
	// Discard removes what was written. After Done it does nothing.
	Discard() error
}

// Spooled is a body that is durable but belongs to no job yet. What is not used
// in a Transition is removed when the store is next opened.
type Spooled interface{ Size() int64 }

// Queue is a durable store of jobs. All methods are safe for concurrent use.
// "Durable on return" means that a nil error survives a power cut. A call whose
// context ends early may still take effect; its error says so by fault.Unknown.
type Queue interface {
	Journal
	Leaser
	Reader
	Keeper
}

// Journal is the writing side of a Queue.
type Journal interface {
	// Put journals jobs in state Received, all or none, durable on return. Jobs
	// whose id is known, delivered ones included, are skipped. It returns how
	// many were added.
	Put(ctx context.Context, entries []Entry) (added int, err error)

	// Advance makes transitions, all or none, durable on return. One writer
	// commits everything that waits in one transaction, without a fixed delay.
	Advance(ctx context.Context, moves ...Transition) error
	// Mark changes statuses, all or none, durable on return.
	Mark(ctx context.Context, marks ...Mark) error
	// Save stores the connector's own state of a Started job, durable on return.
	Save(ctx context.Context, id ID, state []byte) error
	// Spool opens a new body for an outcome that is too large for memory.
	Spool(ctx context.Context) (Spool, error)
}

// Leaser hands out jobs to be run.
type Leaser interface {
	// Lease returns the first job by pool, priority and sequence that is
	// Claimed, or Waiting or Held and due (Until is set and not after now), in a
	// slot that is free, and hands it to nobody else until it changes state or
	// Unlease is called. It returns nil when there is none; Changed tells when
	// to ask again. A lease is not durable: after a restart nothing is leased.
	Lease(ctx context.Context, free Free) (*Job, error)
	// Unlease gives a leased job back unchanged.
	Unlease(id ID)
	// Changed returns a channel that is closed at the next change that could let
	// a Lease succeed: take the channel, then Lease, then wait.
	Changed() <-chan struct{}
	// NextDue returns when the next waiting or held job becomes due; zero: none.
	NextDue() time.Time
}

// Reader is the reading side of a Queue.
type Reader interface {
	// Get returns a job by id, final ones while they are remembered.
	Get(ctx context.Context, id ID) (Job, error)
	// Open returns a body. A job without that body gives ErrNotFound.
	Open(ctx context.Context, id ID, part Part) (io.ReadCloser, error)
	// Known returns, by sys_id, the last run of those messages of an instance
	// that the queue remembers, final ones included (for 90 days).
	Known(ctx context.Context, instance string, sysIDs []string) (map[string]Seen, error)

	// Undelivered returns finished jobs, oldest outcome first, at most limit.
	Undelivered(ctx context.Context, limit int) ([]Job, error)
	// Unfinished yields every job that is not final, in the order it was put. A
	// broken record is an error of its own (ErrBroken) and stops nothing.
	Unfinished(ctx context.Context) iter.Seq2[Job, error]
	// List yields jobs, the newest first, final ones included.
	List(ctx context.Context) iter.Seq2[Job, error]
	// Quarantined yields what is kept aside: the raw key and why.
	Quarantined(ctx context.Context) iter.Seq2[string, error]
}

// Keeper is what the owner of a Queue needs.
type Keeper interface {
	// Counts returns the summary; it touches no disk.
	Counts() Counts
	// Health returns nil, or why the store takes no writes (ErrFull). It tries a
	// small durable write, so that it notices when there is room again.
	Health(ctx context.Context) error
	// Forget drops what was delivered or released before the given day.
	Forget(ctx context.Context, before time.Time) (dropped int, err error)
	// Close waits for the writes under way and closes the store.
	Close() error
}
