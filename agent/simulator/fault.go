package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	gopath "path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Effect is what a fault does to a request.
type Effect string

// The effects of faults. "Before" means that the request has no effect on the
// instance, "after" that it has all of it.
const (
	Latency         Effect = "latency"          // only Fault.Latency, then the true answer
	FailBefore      Effect = "fail_before"      // Fault.Status (500) instead of the effect
	FailAfter       Effect = "fail_after"       // the effect, then Fault.Status (500)
	Unauthorized    Effect = "unauthorized"     // 401 before
	RateLimit       Effect = "rate_limit"       // 429 by a rate limit rule, with its headers
	Semaphore       Effect = "semaphore"        // 429 by a full semaphore queue: no JSON, no header
	Unavailable     Effect = "unavailable"      // 503 with a page, before
	TooLarge        Effect = "too_large"        // 413 before
	BadRequest      Effect = "bad_request"      // 400 before
	AcceptedDropped Effect = "accepted_dropped" // 202, and nothing happens
	AcceptedDone    Effect = "accepted_done"    // 202, and it happens
	CutBefore       Effect = "cut_before"       // connection cut, nothing happened
	CutAfter        Effect = "cut_after"        // connection cut, it happened
	CutLate         Effect = "cut_late"         // connection cut, it happens Fault.Late afterwards
	Truncate        Effect = "truncate"         // it happened, half of the answer arrives
	Hibernate       Effect = "hibernate"        // 200 with the page of a hibernating instance, before
	LoginRedirect   Effect = "login_redirect"   // 302 to /login.do, before
	LoginPage       Effect = "login_page"       // 200 with the login page, before
	MaxExecution    Effect = "max_execution"    // 200 whose JSON ends in "maximum execution time exceeded"
)

func effects() []Effect {
	return []Effect{
		Latency, FailBefore, FailAfter, Unauthorized, RateLimit, Semaphore, Unavailable, TooLarge, BadRequest, AcceptedDropped, AcceptedDone,
		CutBefore, CutAfter, CutLate, Truncate, Hibernate, LoginRedirect, LoginPage, MaxExecution,
	}
}

// Fault is a rule. A request that matches all of its conditions suffers its
// effect; of several rules the first that fires wins. Requests and the items of
// a batch are matched alike: a rule for the path /api/now/v1/batch hits the
// whole batch, one for a table hits single items too.
type Fault struct {
	ID     string `json:"id"` // chosen by Add when empty
	Method string `json:"method"`
	Path   string `json:"path"`  // exact, or a pattern of path.Match
	Table  string `json:"table"` // of /api/now/table/TABLE
	Topic  string `json:"topic"` // columns of the record that is written
	Queue  string `json:"queue"`
	Agent  string `json:"agent"`

	Effect      Effect        `json:"effect"`
	Latency     time.Duration `json:"-"` // before anything else; "latency": "250ms" in JSON
	Late        time.Duration `json:"-"` // for CutLate; "late" in JSON
	Status      int           `json:"status"`
	RetryAfter  int           `json:"retry_after"` // seconds, for RateLimit
	Probability float64       `json:"probability"` // 0 is always
	Skip        int           `json:"skip"`        // matches that pass before the first
	Every       int           `json:"every"`       // fires at every n-th match; 0 is at each
	Times       int           `json:"times"`       // ends after so many; 0 is never
}

// faultJSON carries durations as text.
type faultJSON struct {
	*plainFault
	Latency string `json:"latency,omitempty"`
	Late    string `json:"late,omitempty"`
}

type plainFault Fault

// MarshalJSON writes durations as text ("250ms").
func (f Fault) MarshalJSON() ([]byte, error) {
	p := plainFault(f)
	out := faultJSON{plainFault: &p}
	if f.Latency > 0 {
		out.Latency = f.Latency.String()
	}
	if f.Late > 0 {
		out.Late = f.Late.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads durations as text.
func (f *Fault) UnmarshalJSON(b []byte) error {
	in := faultJSON{plainFault: (*plainFault)(f)}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	var err error
	if in.Latency != "" {
		if f.Latency, err = time.ParseDuration(in.Latency); err != nil {
			return fmt.Errorf("fault %q: latency: %w", f.ID, err)
		}
	}
	if in.Late != "" {
		if f.Late, err = time.ParseDuration(in.Late); err != nil {
			return fmt.Errorf("fault %q: late: %w", f.ID, err)
		}
	}
	return nil
}

// check names what is wrong with a rule.
func (f *Fault) check() error {
	if !slices.Contains(effects(), f.Effect) {
		return fmt.Errorf("fault %q: unknown effect %q", f.ID, f.Effect)
	}
	if _, err := gopath.Match(f.Path, "/"); err != nil {
		return fmt.Errorf("fault %q: path %q: %w", f.ID, f.Path, err)
	}
	if f.Probability < 0 || f.Probability > 1 || f.Skip < 0 || f.Every < 0 || f.Times < 0 || f.Latency < 0 || f.Late < 0 {
		return fmt.Errorf("fault %q: probability is 0 to 1, numbers and durations are not negative", f.ID)
	}
	if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		return fmt.Errorf("fault %q: status %d is no error", f.ID, f.Status)
	}
	return nil
}

// Faults are the rules of an instance. They are safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	rules  []*armed
	rng    *rand.Rand
	nextID int
}

type armed struct {
	Fault
	seen, fired int
}

func newFaults(seed uint64) *Faults {
	return &Faults{rng: rand.New(rand.NewPCG(seed, seed+1))} //nolint:gosec // faults must be reproducible from the seed
}

// Faults returns the rules of the instance.
func (in *Instance) Faults() *Faults { return in.faults }

// Add appends rules, all or none, and returns their ids.
func (f *Faults) Add(rules ...Fault) ([]string, error) {
	for i := range rules {
		if err := rules[i].check(); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]string, 0, len(rules))
	for _, r := range rules {
		if r.ID == "" {
			f.nextID++
			r.ID = fmt.Sprintf("fault%d", f.nextID)
		}
		f.rules = append(f.rules, &armed{Fault: r})
		ids = append(ids, r.ID)
	}
	return ids, nil
}

// Load adds the rules of a JSON array.
func (f *Faults) Load(text []byte) error {
	var rules []Fault
	if err := json.Unmarshal(text, &rules); err != nil {
		return fmt.Errorf("faults: %w", err)
	}
	_, err := f.Add(rules...)
	return err
}

// Remove takes rules away by id and reports whether there was one.
func (f *Faults) Remove(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.rules)
	f.rules = slices.DeleteFunc(f.rules, func(r *armed) bool { return r.ID == id })
	return len(f.rules) < n
}

// Clear takes all rules away.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// List returns the rules in order.
func (f *Faults) List() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Fault, 0, len(f.rules))
	for _, r := range f.rules {
		out = append(out, r.Fault)
	}
	return out
}

// Fired says how often a rule has fired.
func (f *Faults) Fired(id string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, r := range f.rules {
		if r.ID == id {
			n += r.fired
		}
	}
	return n
}

// pick returns the rule that hits a call, nil when none does.
func (f *Faults) pick(c *call) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var written map[string]string
	for _, r := range f.rules {
		if !r.matchesRoute(c) {
			continue
		}
		if r.Topic != "" || r.Queue != "" || r.Agent != "" {
			if written == nil {
				if written, _ = bodyFields(c.body); written == nil { // an unreadable body has no topic
					written = map[string]string{}
				}
			}
			if !r.matchesRecord(written) {
				continue
			}
		}
		r.seen++
		due := r.seen - r.Skip
		if due <= 0 || (r.Every > 1 && due%r.Every != 0) || (r.Times > 0 && r.fired >= r.Times) {
			continue
		}
		if r.Probability > 0 && f.rng.Float64() >= r.Probability {
			continue
		}
		r.fired++
		hit := r.Fault
		return &hit
	}
	return nil
}

func (r *armed) matchesRoute(c *call) bool {
	if r.Method != "" && !strings.EqualFold(r.Method, c.method) {
		return false
	}
	if r.Path != "" && r.Path != c.path {
		if ok, err := gopath.Match(r.Path, c.path); err != nil || !ok {
			return false
		}
	}
	if r.Table == "" {
		return true
	}
	_, parts, ok := route(c.path)
	return ok && len(parts) > 1 && parts[0] == "table" && parts[1] == r.Table
}

func (r *armed) matchesRecord(w map[string]string) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(r.Topic, w["topic"]) && is(r.Queue, w["queue"]) && is(r.Agent, w["agent"])
}

// statusOr returns the status of the rule or a default.
func (f *Fault) statusOr(def int) int {
	if f.Status != 0 {
		return f.Status
	}
	return def
}

// plain is an answer of the load balancer or the servlet container.
func plain(code int) *reply {
	return htmlReply(code, "<!DOCTYPE html><html><head><title>"+http.StatusText(code)+"</title></head><body>"+http.StatusText(code)+"</body></html>")
}
