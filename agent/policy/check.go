package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// Problem is one mistake in a rule.
type Problem struct {
	Rule  int    // the rule's index
	Field string // the key in the rule, as in the configuration ("names", "when.user")
	Err   error
	Hint  string // what to do
}

// Problems is the error of [Compile]: all mistakes of all rules.
type Problems []Problem //nolint:errname // a list of problems first, and an error second

// Error lists the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = fmt.Sprintf("policy rule %d: %s: %v", one.Rule+1, one.Field, one.Err)
	}
	return strings.Join(lines, "\n")
}

// Check returns the mistakes that can be seen without knowing the connectors.
func Check(rules []Rule) Problems {
	var ps Problems
	seen := map[string]int{}
	for i, r := range rules {
		c := checker{rule: i, ps: &ps}
		if first, twice := seen[r.ID()]; twice {
			c.add("name", fmt.Errorf("rule %d is the same or has the same name", first+1), "name each rule once")
		}
		seen[r.ID()] = i
		c.check(r)
	}
	return ps
}

type checker struct {
	rule int
	ps   *Problems
}

func (c checker) add(field string, err error, hint string) {
	*c.ps = append(*c.ps, Problem{Rule: c.rule, Field: field, Err: err, Hint: hint})
}

func (c checker) check(r Rule) {
	if !plain(r.Name) {
		c.add("name", errors.New("the name has a control character"), "use letters, digits, spaces and -_.")
	}
	c.actions(r)
	c.names(r)
	for _, h := range r.Hosts {
		if _, err := parseHostPattern(h); err != nil {
			c.add("hosts", fmt.Errorf("%q: %w", h, err), "write a name, *.example.com, an address, 10.0.* or 10.0.0.0/8")
		}
	}
	for key, cond := range r.When {
		if _, err := cond.compile(key); err != nil {
			c.add("when."+key, err, "see the manual's page on policy for the forms of a condition")
		}
	}
	c.bounds(r)
	if len(r.Deny) > 0 && (r.Shell || r.Hold || r.RunAs != "" || r.Requeue != "" || r.Effect != "" || r.MaxPerHour != 0 || r.Limits != Limits{}) {
		c.add("deny", errors.New("shell, hold, run_as, requeue, effect, max_per_hour and limits mean nothing in a rule that denies"), "remove them")
	}
}

func (c checker) actions(r Rule) {
	switch {
	case len(r.Allow) == 0 && len(r.Deny) == 0:
		c.add("allow", errors.New("the rule neither allows nor denies anything"), `name the actions: allow = ["Command"]`)
	case len(r.Allow) > 0 && len(r.Deny) > 0:
		c.add("deny", errors.New("the rule both allows and denies"), "make two rules of it")
	}
	for _, a := range r.Allow {
		if head, ok := strings.CutSuffix(a, ".*"); strings.Contains(a, "*") && (!ok || head == "" || strings.Contains(head, "*")) {
			c.add("allow", fmt.Errorf("%q would allow too much", a), `name the actions; only a group such as "citrix.*" can end in a star`)
		}
	}
	for _, d := range r.Deny {
		if head, ok := strings.CutSuffix(d, ".*"); strings.Contains(d, "*") && d != "*" && (!ok || head == "" || strings.Contains(head, "*")) {
			c.add("deny", fmt.Errorf("%q is no name of actions", d), `write "*" or a group such as "citrix.*"`)
		}
	}
}

func (c checker) names(r Rule) {
	if r.Shell && len(r.Names) == 0 {
		c.add("shell", errors.New("a shell needs the exact commands"), "list them in names")
	}
	for _, n := range r.Names {
		if r.Shell {
			if strings.TrimSpace(n) == "" || !utf8.ValidString(n) || strings.ContainsRune(n, 0) {
				c.add("names", errors.New("the command is empty or no text"), "write the exact command")
			}
			continue
		}
		p, err := parsePattern(n)
		if err == nil && len(r.Deny) == 0 {
			err = p.strict()
		}
		if err != nil {
			c.add("names", fmt.Errorf("%q: %w", n, err), nameHint(err))
		}
	}
}

func nameHint(err error) string {
	switch {
	case errors.Is(err, errProgramStar):
		return "begin with the program's path: /opt/tools/report.sh *"
	case errors.Is(err, errDots):
		return "write the path without .."
	case errors.Is(err, errShellChars), errors.Is(err, errInsideQuotes):
		return "put the word into '...', or write the exact command in a rule with shell = true"
	case errors.Is(err, errOpenQuote):
		return "close the quote"
	default:
		return "write a command such as /opt/tools/report.sh *"
	}
}

func (c checker) bounds(r Rule) {
	if r.MaxPerHour < 0 || r.MaxPerHour > maxPerHour {
		c.add("max_per_hour", fmt.Errorf("%d is not between 0 and %d", r.MaxPerHour, maxPerHour), "choose a number in the range")
	}
	if r.MaxAge < 0 || r.MaxAge > 90*24*time.Hour {
		c.add("max_age", fmt.Errorf("%s is not between 1s and 2160h", r.MaxAge), "choose a duration in the range")
	}
	if r.Requeue != "" && r.Requeue != "run" {
		c.add("requeue", fmt.Errorf("%q is not known", r.Requeue), `write "run" or leave it out`)
	}
	if _, ok := connectors.ParseEffect(r.Effect); r.Effect != "" && (!ok || r.Effect == connectors.Recoverable.String()) {
		c.add("effect", fmt.Errorf("%q is not known", r.Effect), "write at_most_once, idempotent or read_only")
	}
	if l := r.Limits; !(l.CPU >= 0) || l.Memory < 0 || l.Output < 0 {
		c.add("limits", errors.New("a limit is below zero"), "write 0 for no bound")
	}
}

func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Verify returns all mistakes, those included that need the registry: actions
// that nothing serves, and rules on commands without names.
func Verify(rules []Rule, registry *connectors.Registry, own ...string) Problems {
	ps := Check(rules)
	cat := newCatalog(registry, own)
	for i, r := range rules {
		c := checker{rule: i, ps: &ps}
		for _, name := range r.Allow {
			found := cat.find(name)
			if len(found) == 0 && name != "*" {
				c.add("allow", fmt.Errorf("no connector serves %q", name), "see: sallyport connectors list")
			}
			for _, key := range found {
				if served, ok := registry.Action(key); ok && served.Action.Subject != nil && len(r.Names) == 0 {
					c.add("allow", fmt.Errorf("%q runs commands, and the rule has no names", name), "list in names the commands that may run")
					break
				}
			}
		}
		for _, name := range r.Deny {
			if len(cat.find(name)) == 0 && name != "*" {
				c.add("deny", fmt.Errorf("no connector serves %q", name), "see: sallyport connectors list")
			}
		}
	}
	return ps
}

// catalog knows all actions by their names, topics and groups, in lower case.
type catalog struct {
	keys map[string]string // action or topic -> action
}

func newCatalog(registry *connectors.Registry, own []string) catalog {
	c := catalog{keys: map[string]string{}}
	for _, con := range registry.Connectors() {
		for _, a := range con.Describe().Actions {
			key := strings.ToLower(a.Name)
			c.keys[key] = key
			for _, topic := range a.Topics {
				c.keys[strings.ToLower(topic)] = key
			}
		}
	}
	for _, name := range own {
		key := strings.ToLower(name)
		if _, known := c.keys[key]; !known {
			c.keys[key] = key
		}
	}
	return c
}

// find returns the actions that a name or group in a rule stands for.
func (c catalog) find(name string) []string {
	name = strings.ToLower(name)
	if key, ok := c.keys[name]; ok {
		return []string{key}
	}
	prefix, group := strings.CutSuffix(name, "*")
	if !group {
		return nil
	}
	found := map[string]bool{}
	var out []string
	for n, key := range c.keys {
		if strings.HasPrefix(n, prefix) && !found[key] {
			found[key] = true
			out = append(out, key)
		}
	}
	return out
}

func (p Problems) fault() error {
	hint := ""
	if len(p) > 0 {
		hint = p[0].Hint
	}
	return fault.New(fault.Invalid, "compile", "policy", p).WithHint(hint)
}
