package bolt

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Defaults of Options.
const (
	DefaultKeepOutcomes = 10_000
	DefaultFreeReserve  = 64 << 20
)

// Options says where a store is and how it is kept.
type Options struct {
	// Dir is the store's folder; Open makes it (0700) where it is missing.
	Dir string
	// Key is the 32-byte state key that seals bodies.
	Key []byte
	// Now is the clock, time.Now where nil. It decides what is due.
	Now func() time.Time
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
	// KeepOutcomes is how many delivered jobs keep their message and outcome;
	// 0 is DefaultKeepOutcomes, below 0 none.
	KeepOutcomes int
	// FreeReserve is the free disk space in bytes below which Put refuses and
	// Health says ErrFull, while running jobs can still finish; 0 is
	// DefaultFreeReserve, below 0 none.
	FreeReserve int64
	// MaxBytes is the size on disk at which Put refuses and Health says
	// ErrFull; 0 is no bound.
	MaxBytes int64
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.KeepOutcomes == 0:
		o.KeepOutcomes = DefaultKeepOutcomes
	case o.KeepOutcomes < 0:
		o.KeepOutcomes = 0
	}
	switch {
	case o.FreeReserve == 0:
		o.FreeReserve = DefaultFreeReserve
	case o.FreeReserve < 0:
		o.FreeReserve = 0
	}
	return o
}

func (o Options) check() error {
	if len(o.Key) != KeyBytes {
		return fault.New(fault.Invalid, "open queue", o.Dir, errKey).
			WithHint("give the state key that the agent keeps beside its configuration")
	}
	if o.Dir == "" {
		return fault.New(fault.Invalid, "open queue", "", errNoDir)
	}
	return nil
}

// Store is a durable queue in one file. It is safe for concurrent use.
type Store struct {
	opts  Options
	path  string
	files *bodyFiles
	seal  *sealer

	// dbmu guards db: readers and the writer hold it for reading, and reopening
	// after a failed commit holds it for writing.
	dbmu sync.RWMutex
	db   *bbolt.DB

	writer writer
	ahead  int64 // up to where the file has blocks; the writer's own
	index  *index

	cmu    sync.Mutex
	counts counters // as of the last commit

	full     atomic.Pointer[fault.Error] // why the disk takes no writes; nil: it does
	wroteAt  atomic.Int64                // when a commit succeeded last, Unix nanoseconds
	spaceAt  atomic.Int64                // when free space was looked at last, Unix nanoseconds
	spaceLow atomic.Bool
	healthMu sync.Mutex
}

var _ queue.Queue = (*Store)(nil)

// Open opens the store of a folder, and makes it where there is none. Only one
// process can have it open: a second one gets queue.ErrLocked after a second,
// with the pid of the holder. A file of a newer version gives queue.ErrNewer, a
// file that cannot be read fault.Internal with a hint; nothing is changed then.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fault.New(fault.Canceled, "open queue", opts.Dir, err)
	}
	s := &Store{
		opts:  opts,
		path:  filepath.Join(opts.Dir, fileName),
		files: &bodyFiles{dir: filepath.Join(opts.Dir, "bodies"), key: opts.Key},
	}
	for _, dir := range []string{opts.Dir, s.files.dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, ioFault("open queue", dir, err)
		}
	}
	db, err := openFile(s.path)
	if err != nil {
		return nil, err
	}
	s.db = db
	if err := s.prepare(); err != nil {
		_ = db.Close() // the first error is the one to tell
		return nil, err
	}
	s.writer.start(s)
	return s, nil
}

// prepare brings an opened file to the point where the writer can start.
func (s *Store) prepare() error {
	if err := writePID(s.opts.Dir); err != nil {
		return ioFault("open queue", s.opts.Dir, err)
	}
	if err := s.migrate(); err != nil {
		return err
	}
	if err := s.newEpoch(); err != nil {
		return err
	}
	if err := s.rebuild(); err != nil {
		return err
	}
	if err := s.sweep(); err != nil {
		return ioFault("open queue", s.files.dir, err)
	}
	if err := s.makeReserve(); err != nil {
		s.setFull(ioFault("reserve disk space", s.opts.Dir, err))
	}
	return nil
}

func (s *Store) sweep() error {
	return s.view("open queue", func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bktFiles))
		return s.files.sweep(func(name string) bool { return b.Get([]byte(name)) != nil })
	})
}

// Close waits for the writes under way and closes the store; later calls give
// queue.ErrClosed. A second Close does nothing.
func (s *Store) Close() error {
	if !s.writer.stop() {
		return nil
	}
	s.dbmu.Lock()
	defer s.dbmu.Unlock()
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	removePID(s.opts.Dir)
	if err != nil {
		return fault.New(fault.Unavailable, "close queue", s.path, err)
	}
	return nil
}
