package config

import (
	"fmt"
	"slices"

	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/connectors"
)

// Check compares the configuration with what this program can do: that each
// connector exists, that rules name actions that something serves and targets
// that exist. It opens nothing. All mistakes come back at once: a fault.Invalid
// with [Problems]. The agent's own actions are named in own.
func (c *Config) Check(registry *connectors.Registry, own ...string) error {
	v := &validator{c: c, skip: map[string]bool{}}
	var kinds []string
	targets := names(c.Connectors, func(x Connector) string { return x.Name })
	for _, con := range registry.Connectors() {
		d := con.Describe()
		kinds = append(kinds, d.Name)
		if d.Implicit {
			targets = append(targets, d.Name)
		}
	}
	for i, con := range c.Connectors {
		if !slices.Contains(kinds, con.Use) {
			hint := "see: sallyport connectors list"
			if best := nearest(con.Use, kinds); best != "" {
				hint = "did you mean " + best + "?"
			}
			v.add(element("connector", i)+".use", fmt.Sprintf("there is no connector %q", con.Use), hint)
		}
	}
	for _, p := range policy.Verify(c.Policy.Rules, registry, own...) {
		v.add(element("policy.rule", p.Rule)+"."+p.Field, p.Err.Error(), p.Hint)
	}
	for i, r := range c.Policy.Rules {
		v.refer(element("policy.rule", i)+".targets", "connector", r.Targets, targets)
	}
	return v.out.asError("check configuration", orElse(firstOf(c.files), "in memory"))
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
