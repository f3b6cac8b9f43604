package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Options configures a runner.
type Options struct {
	// Dir is the state folder, absolute. It is created for the owner alone.
	Dir string
	// Version is the program's version, for Ping.
	Version string
	// IdleExit ends the runner when for so long nothing ran and nobody was
	// connected; it also lets Shutdown end it. 0 is an installed service, which
	// never ends by itself.
	IdleExit time.Duration
	// Keep is how long a forgotten job is remembered, so that a stray second start
	// of it is refused, and how long a fence stays; 0 is an hour.
	Keep time.Duration
	// NoCgroup makes the runner find its trees without control groups.
	NoCgroup bool
	// Log takes the runner's log; nil drops it.
	Log *slog.Logger
	// Ready, when set, is called once the runner answers.
	Ready func()

	hook func(point string) // for tests that kill it at a point
}

const (
	defaultKeep   = time.Hour
	sweepEvery    = time.Minute
	orphanEvery   = 250 * time.Millisecond
	maxConns      = 512
	maxRunning    = 2000
	maxListed     = 10_000
	acceptBackoff = 50 * time.Millisecond
)

// ErrTaken reports that another runner serves the same state folder.
var ErrTaken = errors.New("another runner serves this folder")

// server is a running runner.
type server struct {
	opts  Options
	store *store
	host  *host
	null  *os.File // the input of all children that get none
	log   *slog.Logger
	hook  func(string)

	idle     chan struct{} // poked when something ended
	shutdown context.CancelFunc
	work     sync.WaitGroup // jobs and connections

	mu       sync.Mutex
	jobs     map[string]*job // by file key: the latest attempt of each job
	fences   map[string]int  // attempts up to this one cannot start
	fencedAt map[string]time.Time
	running  int
	conns    map[net.Conn]bool
	stopping bool
}

// Serve is the runner's main. It returns when ctx ends (running jobs are ended
// with their grace period), when it is shut down, or when it was idle for
// IdleExit. fault.Conflict with ErrTaken is another runner on the same folder.
//
// It changes its own process: file mode mask, subreaper, perhaps its control
// group; let it have a process of its own.
func Serve(ctx context.Context, opts Options) error {
	s, listener, release, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer release()
	ctx, s.shutdown = context.WithCancel(ctx)
	defer s.shutdown()
	s.work.Go(func() { s.accept(ctx, listener) })
	s.work.Go(func() { s.housekeeping(ctx) })
	s.log.Info("runner ready", "dir", opts.Dir, "trees", s.host.trees())
	if opts.Ready != nil {
		opts.Ready()
	}
	<-ctx.Done()
	s.stop(listener)
	s.log.Info("runner ended", "dir", opts.Dir)
	return nil
}

// open takes the folder, learns what earlier runners left and listens.
func open(ctx context.Context, opts Options) (*server, net.Listener, func(), error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Keep == 0 {
		opts.Keep = defaultKeep
	}
	if opts.hook == nil {
		opts.hook = func(string) {}
	}
	if !filepath.IsAbs(opts.Dir) {
		return nil, nil, nil, fault.New(fault.Invalid, "start runner", opts.Dir, errors.New("the state folder must be absolute")).
			WithHint("Set state_dir to an absolute path.")
	}
	failed := func(err error) error {
		return fault.New(fault.Unavailable, "start runner", opts.Dir, err).
			WithHint("See that the state folder exists on a local disk and belongs to the runner's account.")
	}
	if err := privateDir(opts.Dir); err != nil {
		return nil, nil, nil, failed(err)
	}
	lock, err := lockFile(filepath.Join(opts.Dir, "lock"))
	if err != nil {
		return nil, nil, nil, fault.New(fault.Conflict, "start runner", opts.Dir, errors.Join(ErrTaken, err)).
			WithHint("Use the runner that is there, or stop it first.")
	}
	s := &server{
		opts: opts, log: opts.Log, hook: opts.hook, idle: make(chan struct{}, 1),
		jobs: map[string]*job{}, fences: map[string]int{}, fencedAt: map[string]time.Time{}, conns: map[net.Conn]bool{},
	}
	if s.store, err = openStore(opts.Dir, opts.Log); err == nil {
		s.host, err = newHost(opts.Dir, opts.NoCgroup, opts.Log)
	}
	if err == nil {
		s.null, err = os.Open(os.DevNull)
	}
	if err == nil {
		err = s.recover()
	}
	var listener net.Listener
	if err == nil {
		listener, err = listen(ctx, opts.Dir)
	}
	if err != nil {
		return nil, nil, nil, failed(errors.Join(err, lock.Close()))
	}
	release := func() {
		s.host.close()
		_ = lock.Close() // the system releases it anyway
	}
	return s, listener, release, nil
}

// recover learns the jobs that earlier runners left, and ends what still runs
// of them: nobody could tell any more how it ended.
func (s *server) recover() error {
	list, err := s.store.load()
	if err != nil {
		return err
	}
	for _, f := range list {
		switch {
		case f.fence:
			s.fences[f.key] = max(s.fences[f.key], f.attempt)
			s.fencedAt[f.key] = f.changed
		default:
			s.adopt(f)
		}
	}
	return nil
}

func (s *server) adopt(f found) {
	b := f.record.begun
	if b == nil {
		// Damaged: that it is there says that the job was begun, and no more.
		s.log.Warn("job record unreadable", "file", f.key, "attempt", f.attempt)
		b, f.record = &begun{Attempt: f.attempt}, record{}
	}
	j := &job{
		key: f.key, id: b.Job, attempt: b.Attempt, nonce: b.Nonce, begun: b.Time, bound: b.Output,
		cancel: make(chan end, 1), done: make(chan struct{}), forgotten: make(chan struct{}), changed: f.changed,
	}
	switch {
	case f.record.end != nil && s.store.whole(j, f.record.end):
		j.state, j.result = Exited, f.record.end
	default:
		j.state = Lost
		s.host.killOrphans(f.record)
	}
	close(j.done)
	if known := s.jobs[f.key]; known == nil || known.attempt < j.attempt {
		s.jobs[f.key] = j
	}
}

// begin takes a job in. It returns the job that is there where the same job may
// not be started (again).
func (s *server) begin(ctx context.Context, spec *Spec) (<-chan struct{}, *job, error) {
	if err := spec.check(); err != nil {
		return nil, nil, err
	}
	full := spec.withDefaults(s.opts.Dir)
	j, known, err := s.reserve(&full)
	if err != nil || known {
		return nil, j, err
	}
	ready, durable := make(chan struct{}), make(chan error, 1)
	s.work.Go(func() {
		s.run(ctx, j, &full, durable, func() { close(ready) })
	})
	record, exists, err := s.store.begin(begun{
		Nonce: j.nonce, Job: j.id, Attempt: j.attempt, Boot: s.host.boot, Time: j.begun, Output: j.bound,
	})
	if err != nil {
		s.giveUp(j, exists)
		durable <- err
		return nil, nil, err
	}
	j.mu.Lock()
	j.record = record
	j.mu.Unlock()
	s.hook("begun")
	durable <- nil
	return ready, j, nil
}

// reserve decides in memory whether an attempt may start, and takes its place.
func (s *server) reserve(spec *Spec) (j *job, known bool, err error) {
	key := fileKey(spec.Job)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return nil, false, fault.New(fault.Unavailable, "start", spec.Job, errors.New("the runner is stopping")).
			WithHint("Wait until the runner is back.")
	case s.running >= maxRunning:
		return nil, false, fault.New(fault.Unavailable, "start", spec.Job, errors.New("the runner has 2000 jobs already")).
			WithHint("Wait until some have ended.")
	case spec.Attempt <= s.fences[key]:
		return nil, false, fault.New(fault.Conflict, "start", spec.Job, errors.New("the attempt was given up before it started")).
			WithHint("Start it as a new attempt.")
	}
	if j := s.jobs[key]; j != nil && (!j.is(Lost) || j.attempt >= spec.Attempt) {
		return j, true, nil
	}
	j = newJob(spec, rand.Text())
	s.jobs[key] = j
	s.running++
	return j, false, nil
}

// giveUp takes back a job whose begin could not be recorded. Where a record of
// it exists that memory did not know, it counts as begun.
func (s *server) giveUp(j *job, exists bool) {
	s.mu.Lock()
	s.running--
	if !exists {
		delete(s.jobs, j.key)
	}
	s.mu.Unlock()
	if exists {
		j.finish(Lost, nil)
		return
	}
	j.finish(Fenced, nil)
}

// lookup finds a job. With fence, a job that was not begun can not start any
// more up to that attempt when lookup returns.
func (s *server) lookup(id string, attempt int, fence bool) (Status, error) {
	key := fileKey(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[key]; j != nil {
		return j.status(), nil
	}
	if fence && attempt > s.fences[key] {
		// Under the lock: a start of the same job must not slip in between.
		if err := s.store.fence(id, attempt); err != nil {
			return Status{}, err
		}
		s.fences[key] = attempt
		s.fencedAt[key] = time.Now()
	}
	return Status{Job: id, Attempt: s.fences[key], State: Fenced}, nil
}

func (s *server) find(id string) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[fileKey(id)]
}

// forget gives up the result of an ended job.
func (s *server) forget(id string) error {
	j := s.find(id)
	if j == nil {
		return nil
	}
	j.forgetting.Lock()
	defer j.forgetting.Unlock()
	if j.is(Forgotten) {
		return nil
	}
	if j.is(Running) {
		return fault.New(fault.Conflict, "forget", id, errors.New("the job is still running")).
			WithHint("Cancel it first.")
	}
	if err := s.store.forget(j); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state, j.result, j.changed = Forgotten, nil, time.Now()
	close(j.forgotten)
	return nil
}

// privateDir makes the state folder, for the owner alone.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a folder needs the x bit
}
