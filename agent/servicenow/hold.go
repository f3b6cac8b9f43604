package servicenow

import (
	"fmt"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The wait after a refused login doubles from the first to the last value. An
// account that is locked after a few wrong passwords in a quarter of an hour
// (a common rule) survives it.
const (
	holdFirst = time.Minute
	holdMost  = time.Hour
)

// hold stops requests after refused logins.
type hold struct {
	mu     sync.Mutex
	now    func() time.Time
	until  time.Time
	wait   time.Duration
	reason error
}

// check returns an error of kind fault.Denied while the hold lasts.
func (h *hold) check(a attempt) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := h.until.Sub(h.now())
	if left <= 0 {
		return nil
	}
	e := fault.New(fault.Denied, a.op, a.subject, fmt.Errorf("%w for another %s: %w", ErrHeld, left.Round(time.Second), h.reason)).
		WithHint(fault.HintOf(h.reason))
	e.RetryAfter = left
	return e
}

// refused begins a hold, or doubles it. Refusals of requests that were under way
// together count once.
func (h *hold) refused(reason error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reason = reason
	if h.now().Before(h.until) {
		return
	}
	h.wait = min(max(2*h.wait, holdFirst), holdMost)
	h.until = h.now().Add(h.wait)
}

func (h *hold) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wait, h.until, h.reason = 0, time.Time{}, nil
}

// Hold tells until when the client sends nothing because the login was refused,
// and why. The zero time means that there is no hold.
func (c *Client) Hold() (until time.Time, reason error) {
	c.hold.mu.Lock()
	defer c.hold.mu.Unlock()
	if !c.hold.now().Before(c.hold.until) {
		return time.Time{}, nil
	}
	return c.hold.until, c.hold.reason
}

// EndHold lets requests through again at once, for use after the credentials were
// changed or by an operator who wants to try.
func (c *Client) EndHold() { c.hold.clear() }
