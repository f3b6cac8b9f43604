package agent

import (
	"cmp"

	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// router finds which action and target a message is for.
type router struct {
	registry *connectors.Registry
	targets  *targets
	judge    *judge
}

// Route implements intake.Router. What it cannot read or place stays empty;
// dispatch reads the message again and says what is wrong with it, also where a
// connector's declaration panics.
func (r *router) Route(m ecc.Message) (route intake.Route) {
	route = intake.Route{Name: m.Name, Source: m.Source}
	defer func() { _ = recover() }()
	payload, err := ecc.ParsePayload(m.Payload)
	if err != nil {
		return route
	}
	effective := ecc.Effective(m, payload)
	route.Name, _ = effective.Get("name")
	route.Source, _ = effective.Get("source")
	conceal(&route, dispatch.Secrets(payload))
	params, action, err := dispatch.Parameters(m, payload)
	if err != nil {
		return route
	}
	served, ok := r.served(m, action)
	if !ok {
		return route
	}
	if own := served.Action.Secrets; len(own) > 0 {
		conceal(&route, dispatch.Secrets(payload, own...))
	}
	route.Action = served.Action.Name
	source, _ := effective.Get("source")
	route.Target = r.targets.choose(served.Connector, action != "", source)
	if served.Action.Lane != nil {
		route.Lane = served.Action.Lane(params)
	}
	return route
}

// conceal keeps the secrets of a message out of what lists and logs show of it.
func conceal(r *intake.Route, secrets []string) {
	if len(secrets) > 0 {
		redact, _ := scope(secrets)
		r.Name, r.Source = redact(r.Name), redact(r.Source)
	}
}

func (r *router) served(m ecc.Message, action string) (connectors.Served, bool) {
	if action != "" {
		return r.registry.Action(action)
	}
	return r.registry.Topic(m.Topic)
}

// Again implements intake.Router: a rule may say requeue = "run", and what may
// be repeated without harm is.
func (r *router) Again(earlier queue.Job, m ecc.Message) bool {
	payload, err := ecc.ParsePayload(m.Payload)
	if err != nil {
		return false
	}
	params, action, err := dispatch.Parameters(m, payload)
	if err != nil {
		return false
	}
	served, ok := r.served(m, action)
	if !ok {
		return true // nothing ran, and nothing will: it gets its answer again
	}
	request := dispatch.Request{Job: earlier, Served: served, Params: params}
	if served.Action.Subject != nil {
		if request.Subject, err = served.Action.Subject(params); err != nil {
			return false
		}
	}
	// A job that was denied, canceled before its start or expired did nothing.
	if earlier.Status.Attempt == 0 {
		return true
	}
	return r.judge.again(request)
}

// choose returns the target of a call: the one that a native message names in
// its source, else the only one of the connector, else one named like it.
func (t *targets) choose(connector string, native bool, source string) string {
	if native && source != "" {
		return source
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	name := ""
	for _, target := range t.byName {
		if target.use != connector {
			continue
		}
		if name != "" {
			return connector
		}
		name = target.name
	}
	return cmp.Or(name, connector)
}
