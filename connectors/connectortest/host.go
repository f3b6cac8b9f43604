package connectortest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// Host is an agent in memory, for calls in tests. Its zero value is ready.
type Host struct {
	// Credentials are those that it resolves, by name.
	Credentials map[string]connectors.Credential
	// SaveError, when set, is what Save returns.
	SaveError error

	mu    sync.Mutex
	state []byte
}

// State implements connectors.Host.
func (h *Host) State() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// Save implements connectors.Host.
func (h *Host) Save(_ context.Context, state []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.SaveError == nil {
		h.state = append([]byte{}, state...)
	}
	return h.SaveError
}

// Progress implements connectors.Host.
func (h *Host) Progress(int, string) {}

// Credential implements connectors.Host.
func (h *Host) Credential(_ context.Context, name, host string) (connectors.Credential, error) {
	c, ok := h.Credentials[name]
	if !ok {
		return c, fault.New(fault.Denied, "use credential", name, errors.New("it is not meant for "+host)).
			WithHint("Add the host to the credential.")
	}
	return c, nil
}

// NewCall completes a call: a job id of the test, the first attempt, a deadline
// in a minute, a log and a host, where they are missing.
func NewCall(tb testing.TB, call connectors.Call) *connectors.Call {
	tb.Helper()
	if call.Job == "" {
		call.Job = tb.Name()
	}
	call.Attempt = max(call.Attempt, 1)
	if call.Deadline.IsZero() {
		call.Deadline = time.Now().Add(time.Minute)
	}
	if call.Log == nil {
		call.Log = slog.New(slog.DiscardHandler)
	}
	if call.Host == nil {
		call.Host = &Host{}
	}
	return &call
}
