package policy

import (
	"fmt"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/connectors"
)

// query is a request, prepared once for all rules.
type query struct {
	*Request

	served  connectors.Served
	action  string // in lower case
	words   []string
	hosts   []host
	oddHost bool // a host has no one form
	strict  stars
	free    stars
}

// Decide says whether a job may run. It counts nothing: see [Policy.Commit].
func (p *Policy) Decide(r Request) Decision { return p.decide(&r, false) }

// Explain decides as Decide does and tells of each rule why it does not fit.
func (p *Policy) Explain(r Request) Decision { return p.decide(&r, true) }

func (p *Policy) decide(r *Request, trace bool) Decision {
	q, found := p.query(r)
	if p.own[q.action] || r.Action == "" && p.own[strings.ToLower(r.Topic)] {
		return Decision{Allow: true, Reason: "it is an action of the agent itself", MaxAge: DefaultMaxAge, at: r.Now}
	}
	var d Decision
	switch x := p.byAction[q.action]; {
	case !found:
		d = Decision{Reason: "nothing here serves " + quote(name(r))}
	case x == nil:
		d = p.denied(q)
	default:
		d = p.choose(q, x)
	}
	d.at = r.Now
	if trace {
		d.Trace = p.trace(q, d)
	}
	return d
}

func name(r *Request) string {
	if r.Topic != "" {
		return r.Topic
	}
	return r.Action
}

func (p *Policy) query(r *Request) (*query, bool) {
	q := &query{Request: r, strict: stars{windows: p.windows}, free: stars{free: true, windows: p.windows}}
	var found bool
	if r.Action != "" {
		q.served, found = p.registry.Action(r.Action)
		q.action = strings.ToLower(r.Action)
	} else {
		q.served, found = p.registry.Topic(r.Topic)
		q.action = strings.ToLower(q.served.Action.Name)
	}
	q.words = r.Subject.Words
	if q.served.Action.Subject == nil {
		q.words = []string{q.served.Action.Name}
	}
	for _, text := range []string{r.Host, r.Subject.Host} {
		if text == "" {
			continue
		}
		h, err := parseHost(text)
		if err != nil {
			q.oddHost = true
			continue
		}
		q.hosts = append(q.hosts, h)
	}
	return q, found
}

// choose asks the rules that can concern the job, in their order.
func (p *Policy) choose(q *query, x *index) Decision {
	var full *compiled // the first rule that fits but is used up
	class := classAllow + 1
	only := "" // the job's host, where it is one name: most rules can be passed over by it
	if len(q.hosts) == 1 && !q.oddHost {
		only = q.hosts[0].name
	}
	for i := range p.candidates(q, x) {
		if h := p.onlyHost[i]; only != "" && h != "" && h != only {
			continue
		}
		c := p.rules[i]
		if c.class > class {
			break // a rule that holds is used up: what only allows is not asked
		}
		if c.mismatch(q) != "" {
			continue
		}
		if c.class == classDeny {
			return Decision{Rule: c.id, rule: c, Reason: "rule " + c.id + " denies it"}
		}
		class = c.class
		if c.used.free(q.Now) == 0 {
			return c.decision(q)
		}
		if full == nil {
			full = c
		}
	}
	if full != nil {
		return Decision{
			Rule: full.id, rule: full, RetryAfter: full.used.free(q.Now),
			Reason: fmt.Sprintf("rule %s lets %d jobs start in an hour, and they have", full.id, full.MaxPerHour),
		}
	}
	return p.denied(q)
}

// candidates yields the rules in question, in their order: a merge of lists.
func (p *Policy) candidates(q *query, x *index) iter.Seq[int] {
	var byWord []int
	if len(q.words) > 0 {
		byWord = x.byWord[q.words[0]]
	}
	var lists [][]int
	for _, l := range [][]int{x.rest, x.byText[q.Subject.Text], byWord} {
		if len(l) > 0 {
			lists = append(lists, l)
		}
	}
	if len(lists) == 1 {
		return slices.Values(lists[0])
	}
	return func(yield func(int) bool) {
		for {
			best := -1
			for k, l := range lists {
				if len(l) > 0 && (best < 0 || l[0] < lists[best][0]) {
					best = k
				}
			}
			if best < 0 {
				return
			}
			i := lists[best][0]
			for k, l := range lists {
				if len(l) > 0 && l[0] == i {
					lists[k] = l[1:]
				}
			}
			if !yield(i) {
				return
			}
		}
	}
}

func (c *compiled) decision(q *query) Decision {
	d := Decision{
		Rule: c.id, rule: c, MaxAge: c.MaxAge, Requeue: c.Requeue == "run",
		Grant: connectors.Grant{
			Rule: c.id, Shell: c.Shell, RunAs: c.RunAs,
			Limits: connectors.Limits{CPU: c.Limits.CPU, Memory: c.Limits.Memory, Output: c.Limits.Output},
		},
	}
	if d.MaxAge == 0 {
		d.MaxAge = DefaultMaxAge
	}
	if e, ok := connectors.ParseEffect(c.Effect); ok {
		d.Effect = &e
	}
	switch {
	case !q.Created.IsZero() && q.Now.Sub(q.Created) > d.MaxAge:
		d.Expired = true
		d.Reason = fmt.Sprintf("it is %s old, and rule %s lets it wait for %s",
			q.Now.Sub(q.Created).Round(time.Second), c.id, d.MaxAge)
	case c.Hold && !q.Approved:
		d.Hold = true
		d.Reason = "rule " + c.id + " holds it until a person on site approves it"
	default:
		d.Allow = true
		d.Reason = "rule " + c.id + " allows it"
	}
	return d
}

func (p *Policy) denied(q *query) Decision {
	what := quote(name(q.Request))
	if q.served.Action.Subject != nil {
		what += " " + quote(q.Subject.Text)
	}
	return Decision{Reason: "no rule allows " + what, Would: would(q)}
}

// quote shows a text of the instance within bounds and without control
// characters.
func quote(s string) string {
	const most = 200
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// mismatch returns why a rule does not fit, "" when it does.
func (c *compiled) mismatch(q *query) string {
	deny := c.class == classDeny
	switch {
	case !oneOf(c.Instances, q.Instance):
		return "it is for other instances"
	case !oneOf(c.Targets, q.Target):
		return "it is for other targets"
	case !oneOf(c.Credentials, q.Credential):
		return "it is for other credentials"
	case !deny && q.RunAs != "" && q.RunAs != c.RunAs:
		return "it does not grant the account that the job asks for"
	case len(c.hosts) > 0 && !c.isHost(q, deny):
		return "it is for other hosts"
	case deny && len(c.Names) > 0 && !c.couldBe(q):
		return "the command does not fit its names"
	case !deny && !c.isNamed(q):
		return c.nameWhy(q)
	}
	s := q.strict
	if deny {
		s = q.free
	}
	for _, w := range c.when {
		if !w.fits(q.Params, s) {
			return "a condition on a parameter is not met: " + w.param
		}
	}
	return ""
}

func oneOf(list []string, s string) bool {
	return len(list) == 0 || slices.Contains(list, s)
}

// isNamed reports whether an allow rule names the command.
func (c *compiled) isNamed(q *query) bool {
	switch {
	case c.Shell:
		return q.served.Action.Subject != nil && slices.Contains(c.Names, q.Subject.Text)
	case len(c.patterns) == 0:
		return q.served.Action.Subject == nil
	case len(q.words) == 0:
		return false
	}
	for _, p := range c.patterns {
		if p.matches(q.words, q.strict) {
			return true
		}
	}
	return false
}

func (c *compiled) nameWhy(q *query) string {
	switch {
	case c.Shell:
		return "the command is not exactly one of its names"
	case len(q.words) == 0:
		return "the command needs a shell, which the rule does not grant"
	default:
		return "the command does not fit its names"
	}
}

// couldBe reports whether a deny rule's names could mean the command: with any
// path before the program, and behind any character that means something to a
// shell where the command is for one.
func (c *compiled) couldBe(q *query) bool {
	words := q.words
	if len(words) == 0 {
		words = strings.FieldsFunc(q.Subject.Text, func(r rune) bool {
			return r <= ' ' || strings.ContainsRune("|&;<>()$`'\"{}!%^=", r)
		})
	}
	starts := 1
	if len(q.words) == 0 {
		starts = len(words)
	}
	for at := range starts {
		for _, p := range c.patterns {
			if p.begins(words[at:], q.free, starts > 1 || len(q.words) == 0) {
				return true
			}
		}
	}
	return false
}

// begins is the generous reading of a pattern: the program by its path or its
// name alone, and, in a text for a shell, anything after the words.
func (p pattern) begins(words []string, s stars, more bool) bool {
	if len(words) == 0 {
		return false
	}
	if more && len(words) > len(p.words) {
		words = words[:len(p.words)]
	}
	if p.matches(words, s) {
		return true
	}
	base := strings.TrimSuffix(strings.ToLower(path.Base(strings.ReplaceAll(words[0], `\`, "/"))), ".exe")
	return p.matches(append([]string{base}, words[1:]...), s)
}

func (c *compiled) isHost(q *query, deny bool) bool {
	if q.oddHost {
		return deny
	}
	fitting := 0
	for _, h := range q.hosts {
		for i := range c.hosts {
			if c.hosts[i].matches(h) {
				fitting++
				break
			}
		}
	}
	if deny {
		return fitting > 0
	}
	return fitting > 0 && fitting == len(q.hosts)
}

// trace tells of each rule, in the order in which they decide.
func (p *Policy) trace(q *query, d Decision) []Step {
	named := map[int]bool{}
	if x := p.byAction[q.action]; x != nil {
		for _, i := range x.all {
			named[i] = true
		}
	}
	steps := make([]Step, len(p.rules))
	for i, c := range p.rules {
		s := Step{Rule: c.id, Position: c.position, Decides: d.rule == c}
		if !named[i] {
			s.Why = "it is for other actions"
		} else {
			s.Why = c.mismatch(q)
		}
		if s.Why == "" {
			s.Fits = true
			s.Why = c.does(q, d)
		}
		steps[i] = s
	}
	return steps
}

func (c *compiled) does(q *query, d Decision) string {
	switch {
	case d.rule == c:
		return d.Reason
	case c.used.free(q.Now) > 0:
		return "it fits, and its max_per_hour is reached"
	default:
		return "it fits, and another rule decides before it"
	}
}
