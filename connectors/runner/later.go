package runner

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// ForgetLater is Forget for which nobody waits: it goes with the next request,
// and at the latest a moment later with one of its own. Where it cannot be sent,
// it waits for the next one; a runner that is never reached again keeps the
// result until it is swept.
func (c *Client) ForgetLater(job string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.later = append(c.later, job)
	if len(c.later) > maxLater {
		c.later = c.later[1:]
	}
	if !c.timer {
		c.timer = true
		time.AfterFunc(laterDelay, func() { c.flush(context.Background()) })
	}
}

const (
	laterDelay = 10 * time.Millisecond
	laterTime  = 5 * time.Second
	laterBatch = 256
	maxLater   = 100_000 // the runner sweeps what was never given up
)

// flush sends what ForgetLater left, in a request of its own.
func (c *Client) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, laterTime)
	defer cancel()
	for {
		c.mu.Lock()
		if len(c.later) == 0 {
			c.timer = false
			c.mu.Unlock()
			return
		}
		job := c.later[0]
		c.later = c.later[1:]
		c.mu.Unlock()
		if err := c.Forget(ctx, job); err != nil {
			if fault.KindOf(err) == fault.Conflict {
				continue // it runs again: not what was given up
			}
			c.mu.Lock()
			c.later = append(c.later, job)
			c.timer = false
			c.mu.Unlock()
			return
		}
	}
}

// askAndForget asks, and takes along what ForgetLater left where the runner
// knows how.
func (c *Client) askAndForget(ctx context.Context, w *wire, req *request) (a reply, written bool, err error) {
	if !slices.Contains(w.peer.Features, featureForget) || req.Op == opRead {
		return w.ask(ctx, req)
	}
	c.mu.Lock()
	n := min(len(c.later), laterBatch)
	if n == 0 {
		c.mu.Unlock()
		return w.ask(ctx, req)
	}
	more := *req
	more.Forget = slices.Clone(c.later[:n])
	c.later = slices.Delete(c.later, 0, n)
	c.mu.Unlock()
	if a, written, err = w.ask(ctx, &more); err != nil {
		c.mu.Lock()
		c.later = append(c.later, more.Forget...)
		c.mu.Unlock()
	}
	return a, written, err
}
