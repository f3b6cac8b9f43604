package connectors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Params are the decoded parameters of a call. For a MID topic every value is a
// string, and the record's own fields are among them (name, source, topic, ...)
// with the payload's values over them.
type Params map[string]any

// String returns a parameter as text: "" when it is missing or no scalar.
func (p Params) String(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	case nil:
		return ""
	default:
		return scalar(v)
	}
}

// Names returns the names of all parameters, sorted.
func (p Params) Names() []string {
	names := make([]string, 0, len(p))
	for n := range p {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Bool reports whether a parameter is true: true, "true", "1", "yes" or "on".
func (p Params) Bool(name string) bool {
	switch strings.ToLower(strings.TrimSpace(p.String(name))) {
	case "true", "1", "yes", "on":
		return true
	default:
		return false
	}
}

// Grant is what the policy allowed a call beyond its plain form.
type Grant struct {
	Rule string // the rule that allowed it, for messages
	// Shell allows the command text to go through a shell.
	Shell bool
	// RunAs is the account that the rule names, "" for the runner's own.
	RunAs string
	// Limits bounds what the call may use; zero fields are the defaults.
	Limits Limits
}

// Limits bounds the resources of what a call starts on this host.
type Limits struct {
	CPU    float64 // cores; 0: unbounded
	Memory int64   // bytes; 0: unbounded
	Output int64   // bytes of output that are kept; 0: the connector's default
}

// Call is one attempt at running an action. It is valid until Run returns.
type Call struct {
	// Job is the job's id: the idempotency key towards the target.
	Job string
	// Attempt is 1 at the first start and grows with each. In Recover, and in the
	// Run that continues what Recover found running, it is the attempt in doubt.
	Attempt int
	Action  string
	Params  Params
	Grant   Grant
	// Deadline is when ctx will end, for those who must tell another system.
	Deadline time.Time
	// Log carries the job's attributes; what is written is redacted.
	Log *slog.Logger

	// Host is what the call can ask of the agent while it runs.
	Host Host
}

// Host is the agent as a running call sees it. Its methods are safe for
// concurrent use.
type Host interface {
	// State returns what the last Save of this job stored, also in an earlier
	// attempt or process; nil when nothing was.
	State() []byte
	// Save stores the connector's own state of this job: sealed and durable when
	// it returns nil. Save the key before the first mutating byte and the
	// returned id right after it. After an error, do not go on to the effect.
	Save(ctx context.Context, state []byte) error
	// Progress tells how far the call is, in percent (below zero: not known) and
	// words. It never blocks; intermediate values may be dropped.
	Progress(percent int, text string)
	// Credential returns a credential by name, resolved for a host that it is
	// meant for; anything else is fault.Denied.
	Credential(ctx context.Context, name, host string) (Credential, error)
}

// Credential is a resolved secret. Use it and forget it; it prints as "***".
type Credential struct {
	User       string
	Password   string
	PrivateKey string
	Passphrase string
}

// String never shows the secret.
func (Credential) String() string { return "***" }

// GoString never shows the secret.
func (Credential) GoString() string { return "***" }

// LogValue never shows the secret.
func (Credential) LogValue() slog.Value { return slog.StringValue("***") }

// ErrStopping is the cause of a call's context when the agent stops. A session
// whose work goes on without the agent, and which finds it again in Recover,
// returns without ending that work; every other ends it. Any other cause means:
// end the work.
var ErrStopping = errors.New("the agent is stopping")
