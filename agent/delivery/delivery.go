package delivery

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/queue"
)

// Key names a report on the instance: what is looked for before it is posted
// again.
type Key struct {
	ResponseTo string // sys_id of the output
	Topic      string
	Name       string
	Agent      string
}

// Receipt is the answer to one posted message.
type Receipt struct {
	SysID string // of the inserted record, when Err is nil
	// Err is nil when the message was inserted. An error of kind fault.Unknown
	// means that it may have been; with every other it surely was not.
	Err error
}

// Instance is what delivery needs of an instance.
type Instance interface {
	// Post inserts messages and returns a receipt for each.
	Post(ctx context.Context, messages []ecc.Message) []Receipt
	// Find returns the sys_ids of the input messages that fit each key, oldest
	// first.
	Find(ctx context.Context, keys []Key) (map[Key][]string, error)
	// Attach stores a body as an attachment of an output and returns its sys_id.
	// It first looks whether an attachment of that name and size is there
	// already, so that it is safe to repeat.
	Attach(ctx context.Context, sysID, fileName string, size int64, body func() (io.ReadCloser, error)) (string, error)
}

// Queue is the part of the queue that delivery uses.
type Queue interface {
	Undelivered(ctx context.Context, limit int) ([]queue.Job, error)
	Open(ctx context.Context, id queue.ID, part queue.Part) (io.ReadCloser, error)
	Get(ctx context.Context, id queue.ID) (queue.Job, error)
	Mark(ctx context.Context, marks ...queue.Mark) error
	Advance(ctx context.Context, moves ...queue.Transition) error
}

// Config is what a Delivery is made of. All fields without a stated default
// are required.
type Config struct {
	Instance string
	Remote   Instance
	Queue    Queue
	Log      *slog.Logger
	Now      func() time.Time
	// Settle is how long a report that was not surely answered is left alone
	// after its request ended before it is looked for; zero means 60 s, the
	// instance's own limit on a transaction.
	Settle time.Duration
	// Longest bounds one request; zero means 60 s. After a crash it is not known
	// when the last request ended, so that a report is left alone for Longest
	// and Settle from when it was sent.
	Longest time.Duration
	// InFlight bounds the requests with reports at once; zero means two: an
	// instance serves about four REST requests a node at once (semaphore set
	// API_INT), and intake needs one of them.
	InFlight int
	// Batch is the largest number of reports in one request; zero means 100.
	Batch int
	// MostInline is the largest payload in bytes that is posted inline; a larger
	// one goes as an attachment of the output. Zero means 15 MB.
	MostInline int64
	// BatchBytes bounds the payloads of one request; zero means 2 MB.
	BatchBytes int64
	// Pause is the first wait after a failure; it doubles up to a minute. Zero
	// means one second.
	Pause time.Duration
	// Delivered is told of every job whose report was acknowledged.
	Delivered func(queue.Job)
}

// Delivery brings the reports of one instance. All methods are safe for
// concurrent use.
type Delivery struct {
	Config

	mu       sync.Mutex
	busy     map[queue.ID]bool      // in some Step right now
	later    map[queue.ID]time.Time // not to be touched before
	ended    map[queue.ID]time.Time // when a request ended without a sure answer
	failures int                    // requests in a row that brought nothing
	resting  time.Time              // no request before, after failures
	err      error
	wake     chan struct{}
	slots    chan struct{} // taken by requests with reports
}

// New returns a Delivery.
func New(c Config) *Delivery {
	if c.Settle == 0 {
		c.Settle = time.Minute
	}
	if c.Longest == 0 {
		c.Longest = time.Minute
	}
	if c.InFlight == 0 {
		c.InFlight = 2
	}
	if c.Batch == 0 {
		c.Batch = 100
	}
	if c.MostInline == 0 {
		c.MostInline = 15_000_000
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 2_000_000
	}
	if c.Pause == 0 {
		c.Pause = time.Second
	}
	if c.Delivered == nil {
		c.Delivered = func(queue.Job) {}
	}
	return &Delivery{
		Config: c, busy: map[queue.ID]bool{}, later: map[queue.ID]time.Time{}, ended: map[queue.ID]time.Time{},
		wake: make(chan struct{}, 1), slots: make(chan struct{}, c.InFlight),
	}
}

// Wake makes a Run look for reports at once. It never blocks.
func (d *Delivery) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Status is what status shows of a Delivery.
type Status struct {
	Err     error     // what the last request ended with
	Resting time.Time // when it is tried again, after failures
}

// Status returns the state of the delivery.
func (d *Delivery) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Status{Err: d.err, Resting: d.resting}
}
