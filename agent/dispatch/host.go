package dispatch

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// host is what a running call sees of the agent.
type host struct {
	d  *Dispatcher
	id queue.ID
	// redact takes the agent's and the job's secrets out of a text.
	redact func(string) string

	mu    sync.Mutex
	saved []byte
}

func (h *host) State() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.saved)
}

func (h *host) Save(ctx context.Context, state []byte) error {
	state = slices.Clone(state)
	if err := h.d.Queue.Save(ctx, h.id, state); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.saved = state
	return nil
}

func (h *host) Progress(percent int, text string) {
	h.d.running.progress(h.id, min(percent, 100), h.redact(text))
}

func (h *host) Credential(ctx context.Context, name, forHost string) (connectors.Credential, error) {
	return h.d.Targets.Credential(ctx, name, forHost)
}

// stack returns the stack of a panic, for the log.
func stack() string { return string(debug.Stack()) }
