package control

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// peer is who is at the other end of a connection.
type peer struct {
	account string // for people: "root", "DOMAIN\alice", "uid 1002"
	admin   bool   // may change something
}

// caller finds out about a connection's peer once, when it is first asked: on
// Windows that is possible only after something was read.
type caller struct {
	conn net.Conn
	once sync.Once
	peer peer
	err  error
}

func (c *caller) identify() (peer, error) {
	c.once.Do(func() { c.peer, c.err = identify(c.conn) })
	if c.err != nil {
		return peer{}, fault.New(fault.Denied, "identify", "the caller", c.err).
			WithHint("run the command on the agent's own machine, in a session of your own")
	}
	return c.peer, nil
}

type callerKey struct{}

func withCaller(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*slotConn); ok {
		conn = c.Conn
	}
	return context.WithValue(ctx, callerKey{}, &caller{conn: conn})
}

// peerOf returns who sent the request of this context.
func peerOf(ctx context.Context) (peer, error) {
	c, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return peer{}, fault.New(fault.Denied, "identify", "the caller", errors.New("the connection is unknown"))
	}
	return c.identify()
}
