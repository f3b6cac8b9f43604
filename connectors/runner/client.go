package runner

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// ClientOptions configures a client.
type ClientOptions struct {
	// Dir is the runner's state folder.
	Dir string
	// Version is the caller's version.
	Version string
	// Fork, when set, starts a runner where none answers.
	Fork *ForkOptions
	// Output and Grace stand for those of a Spec that has none; 0 is
	// DefaultOutput and DefaultGrace.
	Output int64
	Grace  time.Duration
}

// Client talks to the runner of a state folder. It connects when it is needed
// and again after a failure, so that it outlives a restart of the runner. Its
// methods are safe for concurrent use, and each ends soon after its context
// does; that never ends a job.
//
// Errors: fault.Unavailable is a runner that does not answer. From Start, Wait
// and Run it is fault.Unknown where the job may have been begun.
type Client struct {
	opts ClientOptions

	mu     sync.Mutex
	idle   []*wire
	later  []string // jobs to forget, for which nobody waits
	timer  bool     // a flush of them is under way
	closed bool
}

const (
	maxIdle     = 8
	dialTime    = 5 * time.Second
	inlineBytes = 64 << 10
)

// NewClient returns a client. It does not connect yet.
func NewClient(opts ClientOptions) *Client { return &Client{opts: opts} }

// wire is one greeted connection.
type wire struct {
	conn  net.Conn
	r     *bufio.Reader
	peer  hello
	fresh bool // no request was answered on it yet
}

// Close sends what ForgetLater left, and closes idle connections; calls under
// way end by themselves.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true // from here on no runner is started
	c.mu.Unlock()
	c.flush(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for _, w := range c.idle {
		err = errors.Join(err, w.conn.Close())
	}
	c.idle = nil
	return err
}

func (c *Client) unavailable(op string, cause error) error {
	if e, ok := errors.AsType[*fault.Error](cause); ok {
		return e
	}
	return fault.New(fault.Unavailable, op, "runner at "+c.opts.Dir, cause).
		WithHint("Check that the runner's service is started, or restart the agent.")
}

// take returns a connection: an idle one, or a new one.
func (c *Client) take(ctx context.Context) (*wire, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		w := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return w, nil
	}
	c.mu.Unlock()
	return c.connect(ctx)
}

func (c *Client) connect(ctx context.Context) (*wire, error) {
	w, err := c.greet(ctx)
	c.mu.Lock()
	fork := c.opts.Fork != nil && !c.closed
	c.mu.Unlock()
	if err == nil || !fork || ctx.Err() != nil || fault.KindOf(err) == fault.Conflict {
		return w, err
	}
	if _, err := Ensure(ctx, *c.opts.Fork); err != nil {
		return nil, err
	}
	return c.greet(ctx)
}

// greet makes a connection and agrees on the protocol.
func (c *Client) greet(ctx context.Context) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := dial(ctx, c.opts.Dir)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	w := &wire{conn: conn, r: bufio.NewReader(conn), fresh: true}
	mine := hello{Name: helloName, Protocol: protocolNewest, Oldest: protocolOldest, Version: c.opts.Version, Features: features()}
	err = errors.Join(conn.SetDeadline(deadline), writeJSON(conn, mine))
	if err == nil {
		err = readJSON(w.r, &w.peer)
	}
	switch {
	case err != nil:
	case w.peer.Error != nil:
		err = w.peer.Error.err()
	case w.peer.Name != helloName || w.peer.Protocol < protocolOldest || w.peer.Protocol > protocolNewest:
		err = errProtocol
	default:
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

func (c *Client) put(w *wire) {
	w.fresh = false
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdle {
		_ = w.conn.Close() // idle: nothing is lost
		return
	}
	c.idle = append(c.idle, w)
}

// exchange sends a request and reads the first answer. sent reports that the
// runner may have received it. The connection is returned for more answers; the
// caller gives it back with put, or closes it.
func (c *Client) exchange(ctx context.Context, req *request) (w *wire, a reply, sent bool, err error) {
	for {
		if w, err = c.take(ctx); err != nil {
			return nil, reply{}, sent, err
		}
		stale := !w.fresh
		var written bool
		a, written, err = c.askAndForget(ctx, w, req)
		if err == nil {
			return w, a, true, nil
		}
		_ = w.conn.Close() // broken
		// A frame that was not written to its end is not acted upon.
		sent = sent || written
		if ctx.Err() != nil || !stale || req.Op == opShutdown {
			return nil, reply{}, sent, err
		}
		// The runner was restarted since: every request can be repeated, because
		// a start of the same attempt is refused with what became of the first.
	}
}

// ask sends a request and reads one answer. written reports that the request
// went out whole.
func (w *wire) ask(ctx context.Context, req *request) (a reply, written bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := writeJSON(w.conn, req); err != nil {
		return reply{}, false, err
	}
	a, err = w.next(ctx)
	return a, true, err
}

func (w *wire) next(ctx context.Context) (reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	var a reply
	err := readJSON(w.r, &a)
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline was set: the connection is of no more use
	}
	if err != nil && ctx.Err() != nil {
		return reply{}, context.Cause(ctx)
	}
	return a, err
}

// call makes a request that has one answer.
func (c *Client) call(ctx context.Context, req *request) (reply, error) {
	w, a, _, err := c.exchange(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			return reply{}, context.Cause(ctx)
		}
		return reply{}, c.unavailable(string(req.Op), err)
	}
	c.put(w)
	if a.Error != nil {
		return reply{}, a.Error.err()
	}
	return a, nil
}

// Start starts a job and returns its status as soon as its child runs. started
// is false when the job was there already: the status says what became of it,
// and nothing was started. An error other than fault.Unknown and the context's own
// promises that nothing was started.
func (c *Client) Start(ctx context.Context, spec *Spec) (st Status, started bool, err error) {
	st, started, w, err := c.start(ctx, spec, false)
	if w != nil {
		c.put(w)
	}
	return st, started, err
}

// complete returns the spec with the client's defaults.
func (c *Client) complete(spec *Spec) *Spec {
	full := *spec
	full.Output, full.Grace = cmp.Or(spec.Output, c.opts.Output), cmp.Or(spec.Grace, c.Grace())
	return &full
}

// Grace is the time that a job gets between the polite signal and the kill
// where its Spec says nothing.
func (c *Client) Grace() time.Duration { return cmp.Or(c.opts.Grace, DefaultGrace) }

func (c *Client) start(ctx context.Context, spec *Spec, wait bool) (Status, bool, *wire, error) {
	spec = c.complete(spec)
	if err := spec.check(); err != nil {
		return Status{}, false, nil, err
	}
	w, a, sent, err := c.exchange(ctx, &request{Op: opStart, Job: spec.Job, Spec: spec, Wait: wait, Inline: inlineBytes})
	switch {
	case err != nil && ctx.Err() != nil:
		return Status{}, false, nil, context.Cause(ctx)
	case err != nil && sent:
		return Status{}, false, nil, fault.New(fault.Unknown, "start", spec.Job, err).
			WithHint("Look the job up: the runner may have begun it.")
	case err != nil:
		return Status{}, false, nil, c.unavailable("start", err)
	case a.Error != nil:
		c.put(w)
		return Status{}, false, nil, a.Error.err()
	case a.Status == nil:
		_ = w.conn.Close()
		return Status{}, false, nil, fault.New(fault.Unknown, "start", spec.Job, errProtocol).
			WithHint("Look the job up: the runner may have begun it.")
	}
	return c.own(*a.Status), a.Started, w, nil
}

// Run starts a job, or finds it as it is, and waits for its end. The status is
// Exited, Lost or Forgotten.
func (c *Client) Run(ctx context.Context, spec *Spec) (Status, error) {
	st, started, w, err := c.start(ctx, spec, true)
	if err != nil {
		return st, err
	}
	c.put(w)
	if started || st.State != Running && st.State != Exited {
		return st, nil
	}
	return c.Wait(ctx, spec.Job)
}

func lostSight(op, job string, err error) error {
	return fault.New(fault.Unknown, op, job, err).
		WithHint("Look the job up: the runner went away while it ran.")
}

// Wait waits for the end of a job that was begun, also in another process.
func (c *Client) Wait(ctx context.Context, job string) (Status, error) {
	w, a, sent, err := c.exchange(ctx, &request{Op: opWait, Job: job, Inline: inlineBytes})
	switch {
	case err != nil && ctx.Err() != nil:
		return Status{}, context.Cause(ctx)
	case err != nil && sent:
		return Status{}, lostSight("wait for", job, err)
	case err != nil:
		return Status{}, c.unavailable("wait for "+job+" at", err)
	}
	c.put(w)
	if a.Error != nil {
		return Status{}, a.Error.err()
	}
	if a.Status == nil {
		return Status{}, lostSight("wait for", job, errProtocol)
	}
	return c.own(*a.Status), nil
}

// Lookup finds out what became of a job. Where it was never begun the answer is
// Fenced, and is durable: no attempt up to this one can start any more,
// whatever is still under way.
func (c *Client) Lookup(ctx context.Context, job string, attempt int) (Status, error) {
	a, err := c.call(ctx, &request{Op: opLookup, Job: job, Attempt: attempt, Fence: true, Inline: inlineBytes})
	if err != nil {
		return Status{}, err
	}
	if a.Status == nil {
		return Status{}, c.unavailable("look up "+job+" at", errProtocol)
	}
	return c.own(*a.Status), nil
}

// Cancel asks for the end of a running job: politely, and after the grace period
// (0: at once) by force. It does not wait for the end.
func (c *Client) Cancel(ctx context.Context, job string, grace time.Duration) error {
	_, err := c.call(ctx, &request{Op: opCancel, Job: job, Grace: max(grace, 0)})
	return err
}

// Forget gives up the result of an ended job, once it is kept elsewhere. A job
// that is not known is no error; one that runs is fault.Conflict.
func (c *Client) Forget(ctx context.Context, job string) error {
	_, err := c.call(ctx, &request{Op: opForget, Job: job})
	return err
}

// List returns the jobs that run, ended or are lost, 10,000 at most.
func (c *Client) List(ctx context.Context) ([]Status, error) {
	a, err := c.call(ctx, &request{Op: opList})
	for i := range a.List {
		a.List[i] = c.own(a.List[i])
	}
	return a.List, err
}

// Ping returns what the runner says of itself.
func (c *Client) Ping(ctx context.Context) (Info, error) {
	a, err := c.call(ctx, &request{Op: opPing})
	if err != nil || a.Info == nil {
		return Info{}, err
	}
	return *a.Info, nil
}

// Shutdown ends a forked runner that has nothing to do. It reports whether it
// did: one with running jobs, and an installed one, stay.
func (c *Client) Shutdown(ctx context.Context) (bool, error) {
	a, err := c.call(ctx, &request{Op: opShutdown})
	return a.Done, err
}

// own lets the outputs of a status be read through this client.
func (c *Client) own(s Status) Status {
	if s.Result == nil {
		return s
	}
	r := *s.Result
	r.Stdout.bind(c, &s, suffixOut)
	r.Stderr.bind(c, &s, suffixErr)
	s.Result = &r
	return s
}

func (o *Output) bind(c *Client, s *Status, stream string) {
	o.client, o.job, o.attempt, o.stream = c, s.Job, s.Attempt, stream
}

// Size returns the bytes that were kept.
func (o *Output) Size() int64 { return o.Kept }

// Open returns a reader of the bytes that were kept, as the process wrote them.
// It can be opened again and again until the job is forgotten.
func (o *Output) Open(ctx context.Context) (io.ReadCloser, error) {
	if o.Kept == int64(len(o.Inline)) {
		return io.NopCloser(bytes.NewReader(o.Inline)), nil
	}
	if o.client == nil {
		return nil, fault.New(fault.Internal, "read output of", o.job, errors.New("it came from no runner"))
	}
	return o.client.open(ctx, o)
}

func (c *Client) open(ctx context.Context, o *Output) (io.ReadCloser, error) {
	w, a, _, err := c.exchange(ctx, &request{Op: opRead, Job: o.job, Attempt: o.attempt, Stream: o.stream})
	if err != nil {
		return nil, c.unavailable("read output of "+o.job+" at", err)
	}
	if a.Error != nil {
		c.put(w)
		return nil, a.Error.err()
	}
	s := &stream{c: c, w: w, left: o.Kept}
	s.stop = context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	return s, nil
}

// stream reads the data frames of one output.
type stream struct {
	c    *Client
	w    *wire
	stop func() bool
	buf  []byte
	left int64
	done bool
}

// Read implements io.Reader. A stream that ends early is an error: the whole
// output or none.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.buf) == 0 {
		if s.done {
			return 0, io.EOF
		}
		kind, body, err := readFrame(s.w.r)
		switch {
		case err != nil:
			return 0, s.c.unavailable("read output at", noEOF(err))
		case kind != frameData:
			return 0, s.c.unavailable("read output at", errProtocol)
		case len(body) == 0 && s.left > 0:
			return 0, s.c.unavailable("read output at", io.ErrUnexpectedEOF)
		case len(body) == 0:
			s.done = true
		}
		s.buf = body
		s.left -= int64(len(body))
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close gives the connection back.
func (s *stream) Close() error {
	if s.w == nil {
		return nil
	}
	if s.stop() && s.done {
		s.c.put(s.w)
	} else {
		_ = s.w.conn.Close() // more was under way
	}
	s.w = nil
	return nil
}
