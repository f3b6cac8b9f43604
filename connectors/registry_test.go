package connectors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

type fake connectors.Descriptor

func (f fake) Describe() connectors.Descriptor { return connectors.Descriptor(f) }

func (f fake) Open(context.Context, connectors.Settings) (connectors.Session, error) {
	return nil, fault.New(fault.Unavailable, "open", f.Name, nil)
}

func one(name, action string, topics ...string) fake {
	return fake{Name: name, Actions: []connectors.Action{{Name: action, Topics: topics}}}
}

func TestRegistryFindsWithoutRegardToCase(t *testing.T) {
	t.Parallel()
	r, err := connectors.NewRegistry(one("a", "a.run", "Command"), one("b", "b.run"))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := r.Topic("COMMAND"); !ok || s.Connector != "a" || s.Action.Name != "a.run" {
		t.Errorf("%+v %v", s, ok)
	}
	if s, ok := r.Action("B.Run"); !ok || s.Connector != "b" {
		t.Errorf("%+v %v", s, ok)
	}
	if _, ok := r.Action("c.run"); ok {
		t.Error("an action that nobody has")
	}
	if r.Connector("b") == nil || r.Connector("c") != nil || len(r.Connectors()) != 2 {
		t.Error("connectors by name")
	}
}

func TestRegistryRefusesDoubles(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]connectors.Connector{
		"connector":    {one("a", "a.x"), one("a", "a.y")},
		"action":       {one("a", "a.x"), one("b", "A.X")},
		"topic":        {one("a", "a.x", "T"), one("b", "b.x", "t")},
		"empty":        {one("", "a.x")},
		"empty action": {one("a", "")},
	} {
		if _, err := connectors.NewRegistry(list...); fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParamsAsText(t *testing.T) {
	t.Parallel()
	p := connectors.Params{
		"s": "x", "b": true, "n": json.Number("1e3"), "f": 1.5, "big": 1e15, "i": int64(-7), "j": 3,
		"list": []any{1}, "nil": nil, "yes": " YES ", "off": "off",
	}
	for name, want := range map[string]string{
		"s": "x", "b": "true", "n": "1e3", "f": "1.5", "big": "1000000000000000", "i": "-7", "j": "3", "list": "", "nil": "", "none": "",
	} {
		if got := p.String(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !p.Bool("b") || !p.Bool("yes") || p.Bool("off") || p.Bool("none") {
		t.Error("booleans")
	}
	if got := p.Names(); len(got) != len(p) || got[0] != "b" {
		t.Errorf("names %v", got)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	c := connectors.Credential{User: "u", Password: "p4ss", PrivateKey: "k3y"}
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(f, c); got != "***" {
			t.Errorf("%s prints %s", f, got)
		}
	}
}

func TestEffectNamesAndTheSafeZero(t *testing.T) {
	t.Parallel()
	var a connectors.Action
	if a.EffectOf(nil) != connectors.AtMostOnce || connectors.AtMostOnce.Repeatable() || connectors.Recoverable.Repeatable() {
		t.Error("the zero effect is not the careful one")
	}
	for e := connectors.AtMostOnce; e <= connectors.ReadOnly; e++ {
		if got, ok := connectors.ParseEffect(e.String()); !ok || got != e {
			t.Errorf("%v parses as %v", e, got)
		}
	}
	if _, ok := connectors.ParseEffect("whatever"); ok {
		t.Error("an unknown effect")
	}
	if connectors.FoundAmbiguous != 0 || connectors.FoundDone.String() != "done" {
		t.Error("findings")
	}
}
