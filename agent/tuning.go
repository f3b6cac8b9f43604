package agent

import (
	"net/http"
	"time"

	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/builtin"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// Tuning is what tests replace to see in moments what takes minutes, or to put
// something between the agent and the world. Zero fields are the real thing.
type Tuning struct {
	// Transport carries the requests to all instances.
	Transport http.RoundTripper
	// Registry makes the connectors; nil is the built-in ones.
	Registry func(*runner.Client) (*connectors.Registry, error)
	// Now is the clock of the stages and of the policy.
	Now func() time.Time
	// Reverify is how often unstarted jobs are looked at on the instance.
	Reverify time.Duration
	// TwinEvery is how often the claims of others under this name are looked for.
	TwinEvery time.Duration
	// LoginRetry is the pause before the agent's own user is looked at again after
	// that failed.
	LoginRetry time.Duration
}

func (t *Tuning) setDefaults() {
	if t.Registry == nil {
		t.Registry = builtin.Registry
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	if t.TwinEvery == 0 {
		t.TwinEvery = time.Minute
	}
	if t.LoginRetry == 0 {
		t.LoginRetry = time.Minute
	}
}
