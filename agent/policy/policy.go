package policy

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/connectors"
)

// Options are what a policy needs to know besides its rules.
type Options struct {
	// Own are the agent's own actions and topics (heartbeat, status): they need
	// no rule, and no rule denies them.
	Own []string
	// Platform is the GOOS whose rules of paths and options hold; the program's
	// own when empty.
	Platform string
}

// Policy decides what may run. It is safe for concurrent use. Its rules never
// change; a new configuration gives a new policy, which takes over what was
// counted with [Policy.Carry].
type Policy struct {
	rules    []*compiled // in the order in which they decide
	onlyHost []string    // of each rule, the one host name that it is for, or ""
	registry *connectors.Registry
	own      map[string]bool
	byAction map[string]*index
	windows  bool
}

// compiled is a rule, ready to be asked.
type compiled struct {
	Rule

	id       string
	position int // 1 for the first rule of the configuration
	class    int
	patterns []pattern
	hosts    []hostPattern
	when     []condition
	used     *counter
}

// The classes of rules, in the order in which they decide.
const (
	classDeny = iota
	classHold
	classAllow
)

// index finds the rules that can concern a job. The lists hold positions in
// Policy.rules, ascending.
type index struct {
	all    []int            // every rule that names the action
	rest   []int            // those that no first word finds
	byWord map[string][]int // by the first word of the command
	byText map[string][]int // by the exact command, for a shell
}

// Compile makes a policy. All mistakes of all rules come back at once, as
// [Problems] inside a fault.Invalid. No rules are a policy too: it denies all.
func Compile(rules []Rule, registry *connectors.Registry, o Options) (*Policy, error) {
	if ps := Verify(rules, registry, o.Own...); len(ps) > 0 {
		return nil, ps.fault()
	}
	platform := cmp.Or(o.Platform, runtime.GOOS)
	p := &Policy{
		registry: registry, own: map[string]bool{}, byAction: map[string]*index{}, windows: platform == "windows",
	}
	for _, name := range o.Own {
		p.own[strings.ToLower(name)] = true
	}
	for i, r := range rules {
		c, err := compile(r, i)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, c)
	}
	// The order depends on what the rules say and not on where they stand.
	slices.SortFunc(p.rules, func(a, b *compiled) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.breadth(), b.breadth()), cmp.Compare(a.id, b.id))
	})
	cat := newCatalog(registry, nil)
	for i, c := range p.rules {
		p.onlyHost = append(p.onlyHost, c.onlyHost())
		p.enter(i, c, cat)
	}
	return p, nil
}

func compile(r Rule, at int) (*compiled, error) {
	c := &compiled{Rule: r, id: r.ID(), position: at + 1, class: classAllow, used: &counter{limit: r.MaxPerHour}}
	switch {
	case len(r.Deny) > 0:
		c.class = classDeny
	case r.Hold:
		c.class = classHold
	}
	for _, n := range r.Names {
		if r.Shell {
			break
		}
		p, err := parsePattern(n)
		if err != nil {
			return nil, err
		}
		c.patterns = append(c.patterns, p)
	}
	for _, h := range r.Hosts {
		p, err := parseHostPattern(h)
		if err != nil {
			return nil, err
		}
		c.hosts = append(c.hosts, p)
	}
	for param, cond := range r.When {
		compiledCond, err := cond.compile(param)
		if err != nil {
			return nil, err
		}
		c.when = append(c.when, compiledCond)
	}
	slices.SortFunc(c.when, func(a, b condition) int { return strings.Compare(a.param, b.param) })
	return c, nil
}

// onlyHost returns the one host name that a rule is for, "" where it is for
// more or others.
func (c *compiled) onlyHost() string {
	if len(c.hosts) != 1 || len(c.hosts[0].parts) != 1 {
		return ""
	}
	return c.hosts[0].parts[0]
}

// breadth orders the rules of one class: of two that fit, the one that grants
// less comes first. A shell counts most.
func (c *compiled) breadth() int {
	n := 0
	if c.Shell {
		n += 1000
	}
	for _, p := range c.patterns {
		if p.tail {
			n += 100
			break
		}
	}
	for _, missing := range []bool{
		len(c.Names) == 0, len(c.Instances) == 0, len(c.Targets) == 0, len(c.Hosts) == 0,
		len(c.Credentials) == 0, len(c.When) == 0, c.MaxPerHour == 0,
	} {
		if missing {
			n++
		}
	}
	return n
}

func (p *Policy) enter(i int, c *compiled, cat catalog) {
	names := c.Allow
	if c.class == classDeny {
		names = c.Deny
	}
	seen := map[string]bool{}
	for _, name := range names {
		for _, action := range cat.find(name) {
			if seen[action] {
				continue
			}
			seen[action] = true
			x := p.byAction[action]
			if x == nil {
				x = &index{byWord: map[string][]int{}, byText: map[string][]int{}}
				p.byAction[action] = x
			}
			x.add(i, c)
		}
	}
}

func (x *index) add(i int, c *compiled) {
	x.all = append(x.all, i)
	switch {
	case c.class == classDeny || len(c.Names) == 0 || slices.ContainsFunc(c.patterns, func(p pattern) bool { return len(p.words[0]) > 1 }):
		x.rest = append(x.rest, i)
	case c.Shell:
		for _, n := range c.Names {
			x.byText[n] = addOnce(x.byText[n], i)
		}
	default:
		for _, p := range c.patterns {
			x.byWord[p.words[0][0]] = addOnce(x.byWord[p.words[0][0]], i)
		}
	}
}

func addOnce(list []int, i int) []int {
	if n := len(list); n > 0 && list[n-1] == i {
		return list
	}
	return append(list, i)
}

// Rules returns the ids of all rules, in the order in which they decide.
func (p *Policy) Rules() []string {
	ids := make([]string, len(p.rules))
	for i, c := range p.rules {
		ids[i] = c.id
	}
	return ids
}

// Request is a job as the policy sees it.
type Request struct {
	Instance string
	Topic    string // as it came
	Action   string // the action that serves it; found by the topic when empty
	Target   string
	Host     string // where it acts, "" for here
	// Credential and RunAs are what the job asks for by name, "" for nothing.
	Credential string
	RunAs      string
	Params     connectors.Params
	Subject    connectors.Subject
	Created    time.Time // when the instance made the job; zero when not known
	Now        time.Time
	// Approved says that a person on site approved this job.
	Approved bool
}

// Decision is what the policy says about a job.
type Decision struct {
	Allow bool // it may start now
	Hold  bool // it may start when a person on site approves it; Allow is false
	// Expired says that the job is older than its rule's MaxAge. Allow and Hold
	// are false then.
	Expired bool
	Rule    string // the rule that decided, "" where none fitted
	Reason  string // one sentence for people
	// Would is the narrowest rule (TOML) that would allow the job, "" where a
	// rule cannot or should not: it was denied by a rule or a bound.
	Would   string
	Grant   connectors.Grant
	MaxAge  time.Duration
	Requeue bool // the rule lets a job that was made ready again run anew
	// Effect is the rule's own word on the effect; nil where it says nothing.
	Effect *connectors.Effect
	// RetryAfter is when a bound on frequency will allow the next job.
	RetryAfter time.Duration
	// Trace holds a step for each rule; [Policy.Explain] fills it.
	Trace []Step

	rule *compiled
	at   time.Time
}

// Step is one rule's part in a decision.
type Step struct {
	Rule     string `json:"rule"`
	Position int    `json:"position"` // 1 for the first rule of the configuration
	Fits     bool   `json:"fits"`
	Decides  bool   `json:"decides"`
	Why      string `json:"why"` // why it does not fit, or what it does
}
