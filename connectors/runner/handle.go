package runner

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const helloTime = 10 * time.Second

// accept serves clients until the listener closes.
func (s *server) accept(ctx context.Context, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.log.Warn("client not accepted", "err", err)
			pause(acceptBackoff)
			continue
		}
		if !s.enter(conn) {
			_ = conn.Close()
			continue
		}
		s.work.Go(func() {
			defer s.leave(conn)
			if err := s.converse(ctx, conn); err != nil && !errors.Is(err, io.EOF) {
				s.log.Debug("client left", "err", err)
			}
		})
	}
}

func (s *server) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.conns) >= maxConns {
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *server) leave(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.touch()
}

// session is one client's connection.
type session struct {
	s    *server
	conn net.Conn
	gone chan struct{} // closed when the client is
}

// converse greets a client and answers its requests in order.
func (s *server) converse(ctx context.Context, conn net.Conn) error {
	if err := checkPeer(conn); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	if err := s.greet(conn, r); err != nil {
		return err
	}
	c := &session{s: s, conn: conn, gone: make(chan struct{})}
	requests := make(chan *request)
	left := make(chan struct{})
	var failed error
	go func() {
		// A reader of its own notices that the client is gone while a request of
		// it is waiting for a job's end.
		defer close(requests)
		defer close(c.gone)
		for {
			req := new(request)
			if failed = readJSON(r, req); failed != nil {
				return
			}
			select {
			case requests <- req:
			case <-left:
				return
			}
		}
	}()
	defer func() {
		close(left)
		_ = conn.Close()     // ends the reader
		for range requests { // until the reader has ended
		}
	}()
	for req := range requests {
		if err := c.answer(ctx, req); err != nil {
			return err
		}
	}
	return failed
}

func (s *server) greet(conn net.Conn, r io.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	var h hello
	if err := readJSON(r, &h); err != nil {
		return err
	}
	version, err := negotiate(h)
	mine := hello{Name: helloName, Protocol: version, Oldest: protocolOldest, Version: s.opts.Version, Features: features()}
	if err != nil {
		mine.Protocol, mine.Error = protocolNewest, toWire(err)
	}
	if err := errors.Join(err, writeJSON(conn, mine)); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// answer handles one request. An error ends the connection.
func (c *session) answer(ctx context.Context, req *request) error {
	s := c.s
	for _, job := range req.Forget {
		if err := s.forget(job); err != nil {
			s.log.Warn("result not given up", "job", job, "err", err)
		}
	}
	switch req.Op {
	case opStart:
		return c.start(ctx, req)
	case opWait:
		return c.wait(req)
	case opRead:
		return c.read(req)
	case opLookup:
		status, err := s.lookup(req.Job, req.Attempt, req.Fence)
		return c.status(req, status, err)
	case opCancel:
		j := s.find(req.Job)
		if j == nil {
			return c.fail(unknownJob("cancel", req.Job))
		}
		j.stop(end{Canceled, req.Grace})
		return c.status(req, j.status(), nil)
	case opForget:
		return c.done(s.forget(req.Job))
	case opList:
		return writeJSON(c.conn, reply{List: s.list(), Done: true})
	case opPing:
		return writeJSON(c.conn, reply{Info: s.info(), Done: true})
	case opShutdown:
		return writeJSON(c.conn, reply{Done: s.stopOnRequest()})
	default:
		return c.fail(fault.New(fault.Invalid, "runner", string(req.Op), errors.New("this runner does not know the request")).
			WithHint("Restart the runner, so that it runs the installed version."))
	}
}

func unknownJob(op, id string) error {
	return fault.New(fault.Conflict, op, id, errors.New("the runner does not know this job")).
		WithHint("Look the job up first.")
}

func (c *session) fail(err error) error {
	return writeJSON(c.conn, reply{Error: toWire(err), Done: true})
}

func (c *session) done(err error) error {
	if err != nil {
		return c.fail(err)
	}
	return writeJSON(c.conn, reply{Done: true})
}

// start begins a job, and with Wait answers at its end. Where it exists already
// its status is told instead, at once.
func (c *session) start(ctx context.Context, req *request) error {
	if req.Spec == nil {
		return c.fail(fault.New(fault.Invalid, "start", req.Job, errors.New("no specification")).
			WithHint("Update the agent."))
	}
	started, j, err := c.s.begin(ctx, req.Spec)
	if err != nil {
		return c.fail(err)
	}
	if started != nil {
		<-started
	}
	if started != nil && req.Wait {
		return c.waitFor(req, j, true)
	}
	status := j.status()
	status.Result = nil
	return writeJSON(c.conn, reply{Status: &status, Started: started != nil, Done: true})
}

func (c *session) wait(req *request) error {
	j := c.s.find(req.Job)
	if j == nil {
		return c.fail(unknownJob("wait for", req.Job))
	}
	return c.waitFor(req, j, false)
}

func (c *session) waitFor(req *request, j *job, started bool) error {
	select {
	case <-j.done:
	case <-c.gone:
		// A runner that stops ends its connections after its jobs: still answer.
		if j.is(Running) {
			return io.EOF
		}
	}
	return c.tell(req, j.status(), started)
}

// status answers with a status, and with its output where that is small.
func (c *session) status(req *request, status Status, err error) error {
	if err != nil {
		return c.fail(err)
	}
	return c.tell(req, status, false)
}

func (c *session) tell(req *request, status Status, started bool) error {
	if r := status.Result; r != nil && req.Inline > 0 {
		for suffix, o := range map[string]*Output{suffixOut: &r.Stdout, suffixErr: &r.Stderr} {
			if o.Kept > 0 && o.Kept <= min(req.Inline, dataChunk) {
				o.Inline = c.s.inline(&status, suffix, o.Kept)
			}
		}
	}
	return writeJSON(c.conn, reply{Status: &status, Started: started, Done: true})
}

// inline reads a small output. nil lets the client read it as a stream, which
// tells the error.
func (s *server) inline(status *Status, suffix string, size int64) []byte {
	r, err := readStored(s.store.path(fileKey(status.Job), status.Attempt, suffix), 0, size)
	if err != nil {
		return nil
	}
	defer r.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(r)
	if err != nil || int64(len(body)) != size {
		return nil
	}
	return body
}

// read sends a stream in data frames; an empty one ends it.
func (c *session) read(req *request) error {
	j := c.s.find(req.Job)
	if j == nil || !j.is(Exited) {
		return c.fail(unknownJob("read output of", req.Job))
	}
	status := j.status()
	suffix, size := suffixOut, status.Result.Stdout.Kept
	if req.Stream == suffixErr {
		suffix, size = suffixErr, status.Result.Stderr.Kept
	}
	offset := min(max(req.Offset, 0), size)
	r, err := readStored(c.s.store.path(j.key, j.attempt, suffix), offset, size-offset)
	if errors.Is(err, os.ErrNotExist) && size == 0 {
		return errors.Join(c.done(nil), writeFrame(c.conn, frameData, nil))
	}
	if err != nil {
		return c.fail(fault.New(fault.Unavailable, "read output of", j.id, err).WithHint("Check the disk of the runner's state folder."))
	}
	defer r.Close() //nolint:errcheck // read only
	if err := c.done(nil); err != nil {
		return err
	}
	buf := make([]byte, dataChunk)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := writeFrame(c.conn, frameData, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return writeFrame(c.conn, frameData, nil)
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) list() []Status {
	jobs := s.all()
	list := make([]Status, 0, len(jobs))
	for _, j := range jobs {
		if st := j.status(); st.State != Forgotten && len(list) < maxListed {
			list = append(list, st)
		}
	}
	return list
}

func (s *server) info() *Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &Info{
		Version: s.opts.Version, Protocol: protocolNewest, Features: features(), PID: os.Getpid(),
		BootID: s.host.boot, Running: s.running, Trees: s.host.trees(), Forked: s.opts.IdleExit > 0,
	}
	for _, j := range s.jobs {
		if j.is(Exited) {
			i.Kept++
		}
	}
	return i
}
