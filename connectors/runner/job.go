package runner

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// job is one attempt that the runner knows.
type job struct {
	key     string // of its files
	id      string
	attempt int
	nonce   string
	begun   time.Time
	bound   int64 // of each output stream

	cancel    chan end // the first request counts
	done      chan struct{}
	forgotten chan struct{}

	forgetting sync.Mutex // held while its files are freed, once

	mu      sync.Mutex
	record  *recordFile // open, until it is synced or forgotten
	state   State
	pid     int
	result  *Result
	changed time.Time // when it was forgotten, for the sweep
}

// end is a request to end a job.
type end struct {
	cause Cause
	grace time.Duration
}

func newJob(spec *Spec, nonce string) *job {
	return &job{
		key: fileKey(spec.Job), id: spec.Job, attempt: spec.Attempt, nonce: nonce, begun: time.Now(), bound: spec.Output,
		cancel: make(chan end, 1), done: make(chan struct{}), forgotten: make(chan struct{}),
		state: Running,
	}
}

func (j *job) status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Status{Job: j.id, Attempt: j.attempt, State: j.state, Begun: j.begun}
	if j.state == Running {
		s.PID = j.pid
	}
	if j.state == Exited {
		r := *j.result
		s.Result = &r
	}
	return s
}

func (j *job) is(s State) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state == s
}

// finish sets the final state once and wakes all who wait.
func (j *job) finish(s State, r *Result) {
	j.mu.Lock()
	j.state, j.result, j.changed = s, r, time.Now()
	j.mu.Unlock()
	close(j.done)
}

// takeRecord hands over the open record, nil when somebody else took it.
func (j *job) takeRecord() *recordFile {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.record
	j.record = nil
	return r
}

// stop asks for the end; a second request changes nothing.
func (j *job) stop(e end) {
	select {
	case j.cancel <- e:
	default:
	}
}

// run starts the job's child and stays with it until all of its tree is gone
// and its end is recorded. It prepares the start while the begin is made
// durable, and starts nothing before durable says so. started is called once
// the child runs or cannot be started. ctx ends when the runner is told to stop.
func (s *server) run(ctx context.Context, j *job, spec *Spec, durable <-chan error, started func()) {
	pipes, err := s.openPipes(spec, j)
	l := &launch{
		spec: spec, env: environ(spec.Env, j.nonce), nonce: j.nonce, key: fileName(j.key, j.attempt),
		stdin: pipes.stdin, stdout: pipes.stdout, stderr: pipes.stderr,
	}
	s.host.prepare(l)
	if <-durable != nil {
		pipes.close()
		s.host.abandon(l)
		return
	}
	result := &Result{ExitCode: -1, Started: time.Now()}
	var c child
	if err == nil {
		s.hook("before start")
		c, err = s.host.start(l)
		pipes.closeChildEnds()
	} else {
		s.host.abandon(l)
	}
	if err != nil {
		pipes.close()
		result.Cause, result.StartError, result.StartFailure = NotStarted, err.Error(), OtherStart
		if e, ok := errors.AsType[*startError](err); ok {
			result.StartFailure = e.why
		}
		s.conclude(ctx, j, result, func() {}, started)
		return
	}
	s.hook("started")
	id := c.identity()
	if err := j.record.append(line{Of: j.nonce, Child: &id}); err != nil {
		s.log.Warn("child's identity not recorded", "job", j.id, "err", err)
	}
	j.mu.Lock()
	j.pid = id.PID
	j.mu.Unlock()
	started()
	pipes.pump(spec.Stdin)
	s.supervise(ctx, j, spec, c, pipes, result)
	s.hook("ended")
	s.conclude(ctx, j, result, c.release, func() {})
}

// conclude records the end and tells it. What is recorded outlives the runner
// at once; it is synced, to outlive a power cut as well, when nobody gave the
// result up within syncDelay because it is kept elsewhere. release is called
// when the end was told.
func (s *server) conclude(ctx context.Context, j *job, r *Result, release, started func()) {
	r.Ended = time.Now()
	if err := j.record.append(line{Of: j.nonce, End: r}); err != nil {
		// The result is still told to those who ask this runner.
		s.log.Error("end of job not recorded", "job", j.id, "err", err)
	}
	s.hook("recorded")
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	j.finish(Exited, r)
	started()
	runtime.Gosched() // first those who wait for the end
	release()
	s.touch()
	t := time.NewTimer(syncDelay)
	defer t.Stop()
	select {
	case <-j.forgotten:
		return
	case <-t.C:
	case <-ctx.Done():
	}
	record := j.takeRecord()
	if record == nil {
		return // forgotten just now
	}
	// The outputs first: an end must not outlive what it speaks of.
	err := errors.Join(s.store.sync(j, suffixOut, &r.Stdout), s.store.sync(j, suffixErr, &r.Stderr), record.sync(), record.close())
	if err != nil && !j.is(Forgotten) {
		s.log.Error("end of job not synced", "job", j.id, "err", err)
	}
}

const syncDelay = 50 * time.Millisecond

// supervise waits for the end of the main process, brings it about where it is
// asked to, and sees the whole tree out.
func (s *server) supervise(ctx context.Context, j *job, spec *Spec, c child, p *pipes, r *Result) {
	exited := make(chan struct{})
	go func() {
		c.await()
		close(exited)
	}()
	var timeout <-chan time.Time
	if spec.Timeout > 0 {
		t := time.NewTimer(spec.Timeout)
		defer t.Stop()
		timeout = t.C
	}
	ask := end{}
	select {
	case <-exited:
	case <-timeout:
		ask = end{TimedOut, spec.Grace}
	case ask = <-j.cancel:
	case <-ctx.Done():
		ask = end{Stopped, spec.Grace}
	}
	if ask.cause != ByItself {
		r.Cause = ask.cause
		s.end(c, exited, ask.grace)
	}
	s.drain(ctx, j, spec, c, p, r)
	e := c.reap()
	r.ExitCode, r.Signal, r.CPU, r.MaxRSS = e.code, e.signal, e.cpu, e.maxRSS
	if e.oom && r.Cause == ByItself && e.signal != "" {
		r.Cause = OutOfMemory
	}
	r.Stdout, r.Stderr = p.out.out, p.err.out
}

// end asks the tree to end, waits the grace period and kills what is left.
func (s *server) end(c child, exited <-chan struct{}, grace time.Duration) {
	if grace > 0 {
		c.terminate()
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-exited:
		case <-t.C:
		}
	}
	c.kill()
	<-exited
}

// drain takes the output that is still under way and then kills what the main
// process left behind.
func (s *server) drain(ctx context.Context, j *job, spec *Spec, c child, p *pipes, r *Result) {
	t := time.NewTimer(spec.Linger)
	defer t.Stop()
	select {
	case <-p.drained:
	case <-t.C:
	case <-j.cancel:
	case <-ctx.Done():
	}
	if c.leftovers() {
		r.Leftovers = true
		c.kill()
	}
	p.finish()
}

// pipes are a child's three standard streams and the runner's ends of them.
type pipes struct {
	stdin, stdout, stderr *os.File // the child's ends
	feed                  *os.File // the runner's end of stdin, nil for none
	fromOut, fromErr      *os.File
	out, err              capture
	drained               chan struct{}
}

func (s *server) openPipes(spec *Spec, j *job) (*pipes, error) {
	p := &pipes{
		stdin: s.null, drained: make(chan struct{}),
		out: capture{path: s.store.path(j.key, j.attempt, suffixOut), bound: spec.Output, buffers: &s.store.buffers},
		err: capture{path: s.store.path(j.key, j.attempt, suffixErr), bound: spec.Output, buffers: &s.store.buffers},
	}
	var err1, err2, err3 error
	if len(spec.Stdin) > 0 {
		p.stdin, p.feed, err1 = inputPipe()
	}
	p.fromOut, p.stdout, err2 = outputPipe()
	p.fromErr, p.stderr, err3 = outputPipe()
	return p, errors.Join(err1, err2, err3)
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // ends of pipes
		}
	}
}

func (p *pipes) closeChildEnds() {
	closeAll(p.stdout, p.stderr)
	if p.feed != nil {
		closeAll(p.stdin) // else it is not the job's own
	}
}

func (p *pipes) close() {
	p.closeChildEnds()
	closeAll(p.feed, p.fromOut, p.fromErr)
}

// pump feeds the input and takes the output.
func (p *pipes) pump(stdin []byte) {
	if p.feed != nil {
		go func() {
			_, _ = p.feed.Write(stdin) // a child need not read its input
			_ = p.feed.Close()
		}()
	}
	var open atomic.Int32
	open.Store(2)
	take := func(c *capture, from *os.File) {
		c.run(from)
		if open.Add(-1) == 0 {
			close(p.drained)
		}
	}
	go take(&p.out, p.fromOut)
	go take(&p.err, p.fromErr)
}

// finish takes what is already in the pipes, closes them whoever holds them on
// the other side, and returns when the output is complete on disk.
func (p *pipes) finish() {
	select {
	case <-p.drained:
		return
	default:
	}
	t := time.NewTimer(finishTime)
	defer t.Stop()
	select {
	case <-p.drained:
	case <-t.C:
		closeAll(p.fromOut, p.fromErr)
		<-p.drained
	}
	closeAll(p.feed)
}

// finishTime is what draining a pipe may take after everybody at its other end
// was killed.
const finishTime = 500 * time.Millisecond
