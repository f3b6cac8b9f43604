package policy

import (
	"errors"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// maxPerHour bounds max_per_hour, and with it the memory of a counter.
const maxPerHour = 10000

// counter remembers when a rule let jobs start within the last hour.
type counter struct {
	mu     sync.Mutex
	limit  int
	starts []time.Time // ascending
}

// free returns how long to wait for the next start, 0 for none.
func (c *counter) free(now time.Time) time.Duration {
	if c.limit == 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	if len(c.starts) < c.limit {
		return 0
	}
	return c.starts[len(c.starts)-c.limit].Add(time.Hour).Sub(now)
}

// take counts a start, unless the bound is reached.
func (c *counter) take(now time.Time) bool {
	if c.limit == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(now)
	if len(c.starts) >= c.limit {
		return false
	}
	c.starts = append(c.starts, now)
	return true
}

// force counts a start that happened.
func (c *counter) force(at time.Time) {
	if c.limit == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := len(c.starts)
	for i > 0 && c.starts[i-1].After(at) {
		i--
	}
	c.starts = append(c.starts, time.Time{})
	copy(c.starts[i+1:], c.starts[i:])
	c.starts[i] = at
	if over := len(c.starts) - c.limit; over > 0 {
		c.starts = append(c.starts[:0], c.starts[over:]...)
	}
}

// forget drops what is an hour old. A clock that was set back leaves starts in
// the future: they count as of now, and so block for no more than an hour.
func (c *counter) forget(now time.Time) {
	for i := len(c.starts) - 1; i >= 0 && c.starts[i].After(now); i-- {
		c.starts[i] = now
	}
	n := 0
	for n < len(c.starts) && now.Sub(c.starts[n]) >= time.Hour {
		n++
	}
	c.starts = append(c.starts[:0], c.starts[n:]...)
}

// Commit counts an allowed decision against its rule's max_per_hour. Call it
// right before the job starts; a decision without it uses nothing up. Where
// others used the last start up meanwhile, it returns fault.Denied and the job
// must not start: decide again.
func (p *Policy) Commit(d Decision) error {
	if !d.Allow {
		return fault.New(fault.Denied, "start job", "", errors.New("the decision does not allow it")).
			WithHint("see: sallyport policy explain")
	}
	if d.rule == nil || d.rule.used.take(d.at) {
		return nil
	}
	e := fault.New(fault.Denied, "start job", "by rule "+d.rule.id, errLimit).WithHint("raise max_per_hour of the rule, or wait")
	e.RetryAfter = d.rule.used.free(d.at)
	return e
}

var errLimit = errors.New("the rule's max_per_hour is reached")

// Count counts a start that happened before this policy was made, so that a
// restart does not give a rule a fresh hour. Rules that no longer exist are
// passed over.
func (p *Policy) Count(rule string, at time.Time) {
	for _, c := range p.rules {
		if c.id == rule {
			c.used.force(at)
			return
		}
	}
}

// Carry takes over what another policy counted, by the rules' ids.
func (p *Policy) Carry(from *Policy) {
	for _, c := range from.rules {
		c.used.mu.Lock()
		starts := append([]time.Time(nil), c.used.starts...)
		c.used.mu.Unlock()
		for _, at := range starts {
			p.Count(c.id, at)
		}
	}
}
