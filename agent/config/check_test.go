package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/connectors"
)

// fake is a connector that only describes itself.
type fake struct{ d connectors.Descriptor }

func (f fake) Describe() connectors.Descriptor { return f.d }

func (fake) Open(context.Context, connectors.Settings) (connectors.Session, error) {
	return nil, errors.New("not opened here")
}

func registry(t *testing.T) *connectors.Registry {
	t.Helper()
	r, err := connectors.NewRegistry(
		fake{connectors.Descriptor{Name: "command", Implicit: true, Actions: []connectors.Action{{
			Name: "command.run", Topics: []string{"Command"},
			Subject: func(connectors.Params) (connectors.Subject, error) { return connectors.Subject{}, nil },
		}}}},
		fake{connectors.Descriptor{Name: "ldap", Actions: []connectors.Action{{
			Name: "ldap.move", Secrets: []string{"hidden"},
			Parameters: json.RawMessage(`{"properties":{"dn":{},"password":{},"hidden":{},"n":{},"on":{}}}`),
		}}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckAgainstTheConnectors(t *testing.T) {
	t.Parallel()
	good := minimal + "[[connector]]\nuse = \"ldap\"\nname = \"corp\"\n[[policy.rule]]\nallow = [\"ldap.*\"]\ntargets = [\"corp\", \"command\"]\n"
	if err := parse(t, good).Check(registry(t)); err != nil {
		t.Error(err)
	}
	bad := minimal + `[[connector]]
use = "ldpa"
name = "corp"
[[policy.rule]]
allow = ["Command"]
[[policy.rule]]
allow = ["ldap.mvoe"]
targets = ["crop"]
`
	err := parse(t, bad).Check(registry(t))
	ps, _ := errors.AsType[config.Problems](err)
	got := map[string]int{}
	for _, p := range ps {
		got[p.Key] = p.Line
	}
	want := map[string]int{"connector[0].use": 9, "policy.rule[0].allow": 12, "policy.rule[1].allow": 14, "policy.rule[1].targets": 15}
	if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(err.Error(), "did you mean ldap?") || !strings.Contains(err.Error(), "did you mean corp?") {
		t.Errorf("%s\n%v", diff, err)
	}
}

// TestTheRuleOfADeniedReportAllowsThatJobAlone takes the rule that a denied job
// is reported with through the configuration file and back.
func TestTheRuleOfADeniedReportAllowsThatJobAlone(t *testing.T) {
	t.Parallel()
	reg := registry(t)
	deny, err := policy.Compile(nil, reg, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	pool := []string{"/opt/x", "a", "-f", "..", "'a b'", `"it's"`, `'say "x"'`, `C:\x`, "ünï", "''", "'*'", "'$x'", `'"'"'"`, "'\n'", "|", "$HOME", "\u202e", "\t", "'\x7f'", "''''"}
	request := func() policy.Request {
		text := "/bin/x"
		for range rng.IntN(5) {
			text += " " + pool[rng.IntN(len(pool))]
		}
		words, err := connectors.Words(text)
		if err != nil {
			words = nil
		}
		return policy.Request{
			Instance: "prod", Topic: "command", Target: "command", Host: []string{"", "H.example.com.", "10.1.2.3", "::1"}[rng.IntN(4)],
			Subject: connectors.Subject{Text: text, Words: words}, Now: time.Unix(0, 0),
		}
	}
	for range 400 {
		r := request()
		d := deny.Decide(r)
		if d.Would == "" {
			t.Fatalf("no rule for %q", r.Subject.Text)
		}
		c, err := config.Parse("would", []byte(minimal+d.Would), config.Overrides{Env: noEnv})
		if err != nil {
			t.Fatalf("%s\n%v", d.Would, err)
		}
		p, err := policy.Compile(c.Policy.Rules, reg, policy.Options{Platform: "linux"})
		if err != nil {
			t.Fatal(err)
		}
		if a := p.Decide(r); !a.Allow || a.Grant.Shell != (r.Subject.Words == nil) {
			t.Errorf("%s\ndoes not allow %q: %+v", d.Would, r.Subject.Text, a)
		}
		if other := request(); p.Decide(other).Allow && (other.Subject.Words == nil && other.Subject.Text != r.Subject.Text ||
			!cmp.Equal(other.Subject.Words, r.Subject.Words) || r.Host != "" && other.Host != r.Host) {
			t.Errorf("%s\nallows %q too", d.Would, other.Subject.Text)
		}
	}
}

func TestTheRuleOfADeniedActionPinsItsParameters(t *testing.T) {
	t.Parallel()
	reg := registry(t)
	deny, err := policy.Compile(nil, reg, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := policy.Request{
		Instance: "prod", Action: "ldap.move", Target: "corp", Now: time.Unix(0, 0),
		Params: connectors.Params{"dn": "CN=\"x\"", "password": "hunter2", "hidden": "hunter2", "n": 3, "on": true, "sys_id": "1"},
	}
	would := deny.Decide(r).Would
	if strings.Contains(would, "hunter2") || strings.Contains(would, "sys_id") {
		t.Errorf("it shows too much:\n%s", would)
	}
	c := parse(t, minimal+would)
	p, err := policy.Compile(c.Policy.Rules, reg, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(r); !d.Allow {
		t.Errorf("%s\n%+v", would, p.Explain(r))
	}
	for _, key := range []string{"dn", "n", "on"} {
		changed := r
		changed.Params = connectors.Params{"dn": r.Params["dn"], "n": 3, "on": true}
		changed.Params[key] = "other"
		if p.Decide(changed).Allow {
			t.Errorf("another %s is allowed by\n%s", key, would)
		}
	}
	for _, bad := range []string{"a\x00b", "a \xff", strings.Repeat("x", 5000), " "} {
		r := policy.Request{Topic: "Command", Subject: connectors.Subject{Text: bad}}
		if d := deny.Decide(r); d.Allow || d.Would != "" || len(d.Reason) > 1200 {
			t.Errorf("%.20q: %+v", bad, d)
		}
	}
}

func TestSchemaKnowsEveryKey(t *testing.T) {
	t.Parallel()
	data, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"prod": true, "ldap": true, "corp": true, "move": true}
	for _, key := range parse(t, full).Keys() {
		at := root
		for part := range strings.SplitSeq(key, ".") {
			if items, ok := at["items"].(map[string]any); ok && names[part] {
				at = items
				continue
			}
			properties, _ := at["properties"].(map[string]any)
			next, ok := properties[part].(map[string]any)
			if !ok || at["additionalProperties"] != false {
				t.Fatalf("%s: the schema has no %s", key, part)
			}
			at = next
		}
		if at["description"] == "" || at["type"] == nil {
			t.Errorf("%s: %v", key, at)
		}
	}
}
