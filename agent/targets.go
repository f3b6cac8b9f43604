package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// targets opens sessions when they are first needed and keeps them open.
type targets struct {
	registry   *connectors.Registry
	credential func(ctx context.Context, name, host string) (connectors.Credential, error)

	mu     sync.Mutex
	byName map[string]*target
}

// target is one configured target.
type target struct {
	use      string
	name     string
	room     int
	settings connectors.Settings

	mu      sync.Mutex
	session connectors.Session
}

// newTargets takes the configured targets and adds one for each connector that
// needs no configuration.
func newTargets(registry *connectors.Registry, configured []*target) *targets {
	t := &targets{registry: registry, byName: map[string]*target{}}
	for _, c := range configured {
		t.byName[c.name] = c
	}
	for _, c := range registry.Connectors() {
		d := c.Describe()
		if !d.Implicit || t.uses(d.Name) {
			continue
		}
		t.byName[d.Name] = &target{use: d.Name, name: d.Name, settings: connectors.Settings{
			Target: d.Name,
			Decode: func(any) error { return nil },
			Secret: func(context.Context, string) (string, error) {
				return "", fault.New(fault.Invalid, "resolve a secret for", d.Name, errors.New("it has no settings"))
			},
		}}
	}
	return t
}

func (t *targets) uses(connector string) bool {
	for _, c := range t.byName {
		if c.use == connector {
			return true
		}
	}
	return false
}

// Session implements dispatch.Targets.
func (t *targets) Session(ctx context.Context, connector, name string) (connectors.Session, error) {
	t.mu.Lock()
	c := t.byName[name]
	t.mu.Unlock()
	if c == nil || c.use != connector {
		return nil, fault.New(fault.Invalid, "find target", strconv.Quote(name), fmt.Errorf("no target of that name uses %s", connector)).
			WithHint("name a configured [[connector]] in the message's source; `sallyport connectors list` shows them")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		return c.session, nil
	}
	s, err := t.registry.Connector(connector).Open(ctx, c.settings)
	if err != nil {
		return nil, fmt.Errorf("open target %s: %w", name, err)
	}
	c.session = s
	return s, nil
}

// Credential implements dispatch.Targets.
func (t *targets) Credential(ctx context.Context, name, host string) (connectors.Credential, error) {
	return t.credential(ctx, name, host)
}

// Room implements dispatch.Targets.
func (t *targets) Room(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.byName[name]; c != nil {
		return c.room
	}
	return 0
}

// close closes all sessions.
func (t *targets) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, c := range t.byName {
		c.mu.Lock()
		if c.session != nil {
			errs = append(errs, c.session.Close())
			c.session = nil
		}
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}
