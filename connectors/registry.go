package connectors

import (
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Registry finds connectors and actions by name and topic. It never changes
// after NewRegistry and is safe for concurrent use.
type Registry struct {
	connectors []Connector
	byName     map[string]Connector
	actions    map[string]Served // by lower-case action name
	topics     map[string]Served // by lower-case topic
}

// Served is an action and the connector that has it.
type Served struct {
	Connector string
	Action    Action
}

// NewRegistry makes a registry of these connectors. Two connectors, actions or
// topics of one name give fault.Internal: it is a mistake in the program.
func NewRegistry(list ...Connector) (*Registry, error) {
	r := &Registry{byName: map[string]Connector{}, actions: map[string]Served{}, topics: map[string]Served{}}
	for _, c := range list {
		d := c.Describe()
		if _, twice := r.byName[d.Name]; twice || d.Name == "" {
			return nil, twiceError("connector", d.Name)
		}
		r.byName[d.Name] = c
		r.connectors = append(r.connectors, c)
		for _, a := range d.Actions {
			if err := r.add(d.Name, a); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

func (r *Registry) add(connector string, a Action) error {
	served := Served{Connector: connector, Action: a}
	key := strings.ToLower(a.Name)
	if _, twice := r.actions[key]; twice || key == "" {
		return twiceError("action", a.Name)
	}
	r.actions[key] = served
	for _, topic := range a.Topics {
		t := strings.ToLower(topic)
		if _, twice := r.topics[t]; twice || t == "" {
			return twiceError("topic", topic)
		}
		r.topics[t] = served
	}
	return nil
}

func twiceError(what, name string) error {
	return fault.New(fault.Internal, "register "+what, name, errors.New("empty or registered twice"))
}

// Connectors returns all connectors, in the order of registration.
func (r *Registry) Connectors() []Connector { return slices.Clone(r.connectors) }

// Connector returns the connector of that name, or nil.
func (r *Registry) Connector(name string) Connector { return r.byName[name] }

// Action returns the action of that name, without regard to case.
func (r *Registry) Action(name string) (Served, bool) {
	s, ok := r.actions[strings.ToLower(name)]
	return s, ok
}

// Topic returns the action that serves a MID Server topic, without regard to
// case.
func (r *Registry) Topic(topic string) (Served, bool) {
	s, ok := r.topics[strings.ToLower(topic)]
	return s, ok
}
