package servicenow

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// sentTrace watches whether a request may have reached the instance.
//
// GotConn means that a connection stands (proxy login and TLS handshake are
// done), WroteHeaders that the head of the request was handed to it. A request
// whose head was not written cannot be carried out. One exception: when the
// context ends, net/http returns while its writer may still be at work, so then
// the connection alone counts.
type sentTrace struct {
	gotConn, wroteHead atomic.Bool
}

type sentKey struct{}

// watch returns a context that carries a watch, for attach.
func watch(ctx context.Context) (context.Context, *sentTrace) {
	t := &sentTrace{}
	return context.WithValue(ctx, sentKey{}, t), t
}

// attach begins to watch. It is called right before the request itself leaves:
// httptrace would also report what happens to a request that gets a token first.
func attach(ctx context.Context) context.Context {
	t, ok := ctx.Value(sentKey{}).(*sentTrace)
	if !ok {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { t.gotConn.Store(true) },
		WroteHeaders: func() { t.wroteHead.Store(true) },
	})
}

// forget begins anew, before a request is sent again that surely had no effect.
func forget(ctx context.Context) {
	if t, ok := ctx.Value(sentKey{}).(*sentTrace); ok {
		t.gotConn.Store(false)
		t.wroteHead.Store(false)
	}
}

// maybeSent reports whether a request that failed with an error may have been
// carried out.
func (t *sentTrace) maybeSent(ctx context.Context) bool {
	if ctx.Err() != nil {
		return t.gotConn.Load()
	}
	return t.wroteHead.Load()
}
