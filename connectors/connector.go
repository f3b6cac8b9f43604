package connectors

import (
	"context"
	"encoding/json"
)

// Connector is a plugin for one kind of target. Its methods are safe for
// concurrent use.
type Connector interface {
	// Describe returns what the connector is; the same at every call.
	Describe() Descriptor
	// Open makes a session for one configured target. It validates the settings
	// completely (fault.Invalid names the key) and may touch the target.
	Open(ctx context.Context, settings Settings) (Session, error)
}

// Session is one open target. Run may be called concurrently.
type Session interface {
	// Run makes one attempt. It returns an outcome, or an error where it has
	// none; a failure that the target itself reported is an Outcome with Failure
	// set, not an error. Run returns soon after ctx ends, having stopped what it
	// started.
	Run(ctx context.Context, call *Call) (*Outcome, error)
	// Probe checks that the target can be reached and used, without an effect.
	Probe(ctx context.Context) error
	// Close frees the session. It is safe after a failed or running call.
	Close() error
}

// Recoverer is implemented by sessions that can find out what became of an
// earlier attempt, by its saved state or by the job's id at the target.
type Recoverer interface {
	// Recover reports what it found: for FoundDone the outcome is set, for the
	// others it is nil. It has no effect on the target. An error means that it
	// could not look, and it will be asked again.
	Recover(ctx context.Context, call *Call) (Found, *Outcome, error)
}

// Found is what Recover found of an earlier attempt.
type Found uint8

// The findings.
const (
	// FoundAmbiguous: it cannot be told what happened. The job becomes unknown.
	FoundAmbiguous Found = iota
	// FoundNone: the earlier attempt surely had no effect; it may run again.
	FoundNone
	// FoundRunning: it is still under way; Run continues it when called.
	FoundRunning
	// FoundDone: it ended, with the outcome that is returned.
	FoundDone
)

// String returns the name of the finding.
func (f Found) String() string {
	return [...]string{"ambiguous", "none", "running", "done"}[f&3]
}

// Effect is what running an action again would do.
type Effect uint8

// The effects, the most careful first: the zero value is the safe one.
const (
	// AtMostOnce: another run may do harm; what is not known stays unknown.
	AtMostOnce Effect = iota
	// Recoverable: the connector can find out what an earlier attempt did.
	Recoverable
	// Idempotent: running again ends in the same state of the target.
	Idempotent
	// ReadOnly: it changes nothing.
	ReadOnly
)

var effectNames = [...]string{"at_most_once", "recoverable", "idempotent", "read_only"} //nolint:gochecknoglobals // a constant table

// String returns the effect's name as rules, manifests and status spell it.
func (e Effect) String() string { return effectNames[e&3] }

// ParseEffect returns the effect with that name.
func ParseEffect(name string) (Effect, bool) {
	for i, n := range effectNames {
		if n == name {
			return Effect(i), true
		}
	}
	return AtMostOnce, false
}

// Repeatable reports whether an attempt whose end is not known may simply be
// made again.
func (e Effect) Repeatable() bool { return e == Idempotent || e == ReadOnly }

// Descriptor says what a connector is and can do. The manual, the CLI's help
// and the validation of settings and parameters are made from it.
type Descriptor struct {
	Name string // as in the configuration: use = "ssh"
	Help string // one line
	// Settings is the JSON Schema of [connector.settings].
	Settings json.RawMessage
	// Sample is a commented [[connector]] section (TOML) that is valid.
	Sample string
	// Platforms lists the GOOS values where it works; empty: everywhere.
	Platforms []string
	// Implicit reports that one target named like the connector exists without
	// configuration (command, diag).
	Implicit bool
	Actions  []Action
}

// Action is one named operation of a connector.
type Action struct {
	Name string // "citrix.session.logoff"; unique among all connectors
	Help string // one line
	// Topics are the MID Server topics that this action serves, if any. They
	// match without regard to case.
	Topics []string
	// Parameters is the JSON Schema of the parameters. Values of a MID topic are
	// all strings.
	Parameters json.RawMessage
	// Effect tells, by the parameters, what running again would do. nil is
	// AtMostOnce.
	Effect func(Params) Effect
	// Subject returns what the policy's name patterns are matched against: the
	// command as words. nil: the action's name alone.
	Subject func(Params) (Subject, error)
	// Lane returns the ordered lane of a call, nil or "" for none.
	Lane func(Params) string
	// Secrets are the parameters whose values are never echoed, logged or kept
	// in clear, besides those that every topic keeps secret by their names.
	Secrets []string
}

// EffectOf returns the action's effect for these parameters.
func (a Action) EffectOf(p Params) Effect {
	if a.Effect == nil {
		return AtMostOnce
	}
	return a.Effect(p)
}

// Subject is what a call is about to run, as the policy judges it.
type Subject struct {
	// Text is the command as it came.
	Text string
	// Words is its argument vector when no shell is involved. nil where the text
	// cannot be split without a shell.
	Words []string
	// Host is where it runs, "" for here.
	Host string
}

// Settings are one target's settings, as the configuration gives them.
type Settings struct {
	// Target is the target's name.
	Target string
	// Decode fills a pointer to a struct with toml tags; keys that the struct
	// does not know give fault.Invalid with their line.
	Decode func(into any) error
	// Secret resolves a reference such as "env:X" to its value. Callers use the
	// value and forget it.
	Secret func(ctx context.Context, reference string) (string, error)
}
