package servicenow

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Signals is what the instance told about itself, beside its answers.
type Signals struct {
	// LastAnswer is when the last answer came; zero when none did.
	LastAnswer time.Time
	// SemaphoreWait and SessionWait are how long the last requests waited inside
	// the instance (Server-Timing sem_wait and sesh_wait), smoothed. A wait that
	// grows means that the instance is busy.
	SemaphoreWait, SessionWait time.Duration
	// RateLimit, RateRule and RateReset are of the last answer that a rate limit
	// rule applied to; RateLimit is requests per hour.
	RateLimit int
	RateRule  string
	RateReset time.Time
	// Throttled counts answers of status 429.
	Throttled int64
	// Skew is the clock of the instance minus the clock here, as of the last
	// answer; the Date header counts whole seconds. SkewKnown is false before.
	Skew      time.Duration
	SkewKnown bool
}

type signals struct {
	mu  sync.Mutex
	s   Signals
	now func() time.Time
}

// observe takes over the headers of an answer. began is when the request left.
func (g *signals) observe(resp *http.Response, began time.Time) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.s.LastAnswer = now
	if resp.StatusCode == http.StatusTooManyRequests {
		g.s.Throttled++
	}
	if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		// The instance wrote the date somewhere between began and now, and cut it to
		// whole seconds: compare the middles.
		middle := began.Add(now.Sub(began) / 2)
		g.s.Skew = t.Add(500 * time.Millisecond).Sub(middle).Round(time.Second)
		g.s.SkewKnown = true
	}
	sem, sesh := serverTiming(resp.Header.Values("Server-Timing"))
	g.s.SemaphoreWait = smooth(g.s.SemaphoreWait, sem)
	g.s.SessionWait = smooth(g.s.SessionWait, sesh)
	if n, err := strconv.Atoi(resp.Header.Get("X-Ratelimit-Limit")); err == nil {
		g.s.RateLimit = n
		g.s.RateRule = clean(resp.Header.Get("X-Ratelimit-Rule"))
		if epoch, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			g.s.RateReset = time.Unix(epoch, 0).UTC()
		}
	}
}

func smooth(old, now time.Duration) time.Duration { return old - old/4 + now/4 }

// serverTiming reads "t;desc=.., sem_wait;dur=0, sesh_wait;dur=0" in milliseconds.
func serverTiming(headers []string) (sem, sesh time.Duration) {
	for _, h := range headers {
		for metric := range strings.SplitSeq(h, ",") {
			name, rest, _ := strings.Cut(strings.TrimSpace(metric), ";")
			_, value, ok := strings.Cut(rest, "dur=")
			if !ok {
				continue
			}
			value, _, _ = strings.Cut(value, ";")
			ms, err := strconv.ParseFloat(strings.Trim(value, `" `), 64)
			if err != nil || ms < 0 || ms > 1e7 {
				continue
			}
			d := time.Duration(ms * float64(time.Millisecond))
			switch name {
			case "sem_wait":
				sem = d
			case "sesh_wait":
				sesh = d
			}
		}
	}
	return sem, sesh
}

// Signals returns what the instance told about itself so far.
func (c *Client) Signals() Signals {
	c.signals.mu.Lock()
	defer c.signals.mu.Unlock()
	return c.signals.s
}
