package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Rule is one local rule, as the configuration's [[policy.rule]] gives it. A
// list that is empty constrains nothing. All constraints of a rule must fit.
type Rule struct {
	Name string `toml:"name" json:"name,omitempty" help:"Name of the rule in reports, logs and the audit; made from the rule's content when left out."`

	Allow []string `toml:"allow" json:"allow,omitempty" help:"Actions or MID Server topics that the rule allows, without regard to case; \"citrix.*\" stands for all that begin so."`
	Deny  []string `toml:"deny" json:"deny,omitempty" help:"Actions or topics that the rule denies, whatever other rules allow. \"*\" stands for all."`

	Names []string `toml:"names" json:"names,omitempty" help:"Patterns of commands. A last word * stands for one or more words, a * elsewhere for a part of one word."`
	Shell bool     `toml:"shell" json:"shell,omitempty" default:"false" help:"Let a shell run the command. Names must then be the exact commands."`

	Instances   []string             `toml:"instances" json:"instances,omitempty" help:"Instances whose jobs the rule is for."`
	Targets     []string             `toml:"targets" json:"targets,omitempty" help:"Targets that the rule is for, by name."`
	Hosts       []string             `toml:"hosts" json:"hosts,omitempty" help:"Hosts that the rule is for: names, addresses, *.example.com, 10.0.*, 10.0.0.0/8."`
	Credentials []string             `toml:"credentials" json:"credentials,omitempty" help:"Credentials that the rule is for, by name."`
	RunAs       string               `toml:"run_as" json:"run_as,omitempty" help:"Account that runs the job on this host."`
	When        map[string]Condition `toml:"when" json:"when,omitempty" help:"Conditions on parameters: a value, a list, { pattern = \"a*\" }, { under = \"OU=x,DC=y\" }, { min = 1, max = 5 }."`

	MaxPerHour int           `toml:"max_per_hour" json:"max_per_hour,omitempty" default:"0" min:"0" max:"10000" help:"Jobs that the rule lets start within any hour; 0 for no bound."`
	MaxAge     time.Duration `toml:"max_age" json:"max_age,omitempty" default:"24h" min:"1s" max:"2160h" help:"Age at which a job that has not started expires."`
	Requeue    string        `toml:"requeue" json:"requeue,omitempty" enum:"|run" help:"\"run\" runs a job anew when the instance makes it ready again after its report."`
	Effect     string        `toml:"effect" json:"effect,omitempty" enum:"|at_most_once|idempotent|read_only" help:"What running the command again would do, where the rule knows better than the connector."`
	Hold       bool          `toml:"hold" json:"hold,omitempty" default:"false" help:"Hold the job until a person on site approves it."`
	Limits     Limits        `toml:"limits" json:"limits,omitzero" help:"What the job may use on this host."`
}

// Limits bounds what a job may use on this host; zero fields are the defaults.
type Limits struct {
	CPU    float64 `toml:"cpu" json:"cpu,omitempty" default:"0" min:"0" max:"4096" help:"Processor cores; 0 for no bound."`
	Memory int64   `toml:"memory" json:"memory,omitempty" unit:"bytes" default:"0" min:"0" help:"Memory, such as \"512MB\"; 0 for no bound."`
	Output int64   `toml:"output" json:"output,omitempty" unit:"bytes" default:"0" min:"0" help:"Output that is kept, such as \"16MB\"; 0 for the connector's default."`
}

// ID returns the rule's name, or one made from its content, which stays the
// same wherever the rule stands.
func (r Rule) ID() string {
	if r.Name != "" {
		return r.Name
	}
	data, err := json.Marshal(r)
	if err != nil {
		data = []byte(err.Error()) // a NaN in a range; Check refuses it
	}
	sum := sha256.Sum256(data)
	return "rule-" + hex.EncodeToString(sum[:4])
}

// DefaultMaxAge is the age at which a job expires where its rule says nothing.
const DefaultMaxAge = 24 * time.Hour
