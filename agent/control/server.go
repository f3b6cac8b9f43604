package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const (
	maxConns     = 128
	maxReaders   = 16 // answers under way for callers who may not change anything
	stopGrace    = 2 * time.Second
	changeWindow = 60 * time.Second // for one change, whether the caller waits or not
)

// Options is what Serve needs. Agent and Path are required.
type Options struct {
	// Path is the socket (Linux) or pipe (Windows); see [Path].
	Path string
	// Group may read: its name, or on Linux its number. Empty: nobody but the
	// agent's account and administrators.
	Group string
	Agent Agent
	// Version is what the agent says of itself in Hello.
	Version string
	// Redact hides secrets in the texts of errors. Nil: they are passed as they
	// are.
	Redact func(string) string
	// Log gets what goes wrong; nil: nothing is logged.
	Log *slog.Logger
	// Ready is called once, when callers can connect.
	Ready func()
}

// Serve opens the local API and serves it until ctx ends, then gives answers
// under way two seconds, removes the socket and returns nil. A path that
// another agent listens on gives fault.Conflict.
func Serve(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	l, err := listen(ctx, o.Path, o.Group, o.Log)
	if err != nil {
		return listenError(o.Path, err)
	}
	s := &server{Options: o, readers: make(chan struct{}, maxReaders)}
	hs := &http.Server{
		Handler:           s.handler(),
		ConnContext:       withCaller,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	if o.Ready != nil {
		o.Ready()
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(newBounded(l, maxConns)) }()
	select {
	case err := <-failed:
		return fault.New(fault.Unavailable, "serve the local API on", o.Path, errors.Join(err, hs.Close())).
			WithHint("restart the agent; `sallyport status` cannot reach it before")
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	// Shutdown closes the listener, which removes the socket.
	if err := hs.Shutdown(grace); err != nil {
		_ = hs.Close() // what did not end in time is cut off
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		o.Log.Debug("the local API ended", "error", err)
	}
	return nil
}

func listenError(path string, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	kind, hint := fault.Unavailable, "check that the folder exists and has room"
	if errors.Is(err, fs.ErrPermission) {
		kind, hint = fault.Denied, "let the agent's account write to the folder, or set control.socket"
	}
	return fault.New(kind, "open the local API on", path, err).WithHint(hint)
}

// bounded accepts at most so many connections at once; others wait.
type bounded struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	stop   func() error
}

func newBounded(l net.Listener, n int) *bounded {
	closed := make(chan struct{})
	b := &bounded{Listener: l, slots: make(chan struct{}, n), closed: closed}
	b.stop = onceError(func() error {
		close(closed)
		return l.Close()
	})
	return b
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &slotConn{Conn: conn, free: onceError(func() error { <-b.slots; return nil })}, nil
}

func (b *bounded) Close() error { return b.stop() }

// slotConn gives its slot back when it is closed.
type slotConn struct {
	net.Conn
	free func() error
}

func (c *slotConn) Close() error { return errors.Join(c.Conn.Close(), c.free()) }

// recovered turns a panic into an error with the stack in the log.
func (s *server) recovered(w http.ResponseWriter, r *http.Request, v any, stack []byte) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // net/http's own way to cut an answer off
	}
	s.Log.Error("panic in the local API", "route", r.URL.Path, "panic", s.Redact(fmt.Sprint(v)), "stack", string(stack))
	s.fail(w, fault.New(fault.Internal, "answer", r.URL.Path, errors.New("the agent ran into a defect")).
		WithHint("see the agent's log and report this defect"))
}
