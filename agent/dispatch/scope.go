package dispatch

import (
	"io"

	"github.com/sallyport-agent/sallyport/agent/ecc"
)

// scope takes secrets out of what one job leaves behind: the agent's own, and
// those of the job's message. The latter are known for that job alone: an
// instance must not be able to mask the reports of other jobs, or to push the
// agent's secrets out of a bounded memory.
type scope struct {
	redact func(string) string
	reader func(io.Reader) io.Reader
}

// Bounds of what is looked for: more or larger secrets are no real job's.
const (
	mostSecrets     = 64
	mostSecretBytes = 16 << 10
)

// conceal makes the secrets of the plan's message known to its scope.
func (d *Dispatcher) conceal(p *plan) {
	if d.Scope == nil {
		return
	}
	values := Secrets(p.payload, p.served.Action.Secrets...)
	if len(values) == 0 {
		return
	}
	redact, reader := d.Scope(values)
	p.scope = scope{
		redact: func(s string) string { return redact(d.Redact(s)) },
		reader: func(r io.Reader) io.Reader { return reader(d.RedactReader(r)) },
	}
}

// Secrets returns the secret values of a payload that are worth looking for.
// extra are further names of secret parameters.
func Secrets(payload ecc.Payload, extra ...string) []string {
	var values []string
	for _, v := range ecc.SecretValues(payload, extra...) {
		if len(v) <= mostSecretBytes && len(values) < mostSecrets {
			values = append(values, v)
		}
	}
	return values
}
