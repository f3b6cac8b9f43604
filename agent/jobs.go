package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/queue"
)

// Jobs implements control.Agent.
func (a *Agent) Jobs(ctx context.Context, f control.Filter) ([]control.Job, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	list := []control.Job{}
	for j, err := range a.queue.List(ctx) {
		if errors.Is(err, queue.ErrBroken) {
			continue // counted in status, and named there
		}
		if err != nil {
			return nil, err
		}
		if !fits(j, f) {
			continue
		}
		list = append(list, a.jobView(j))
		if len(list) == limit {
			break
		}
	}
	return list, nil
}

func fits(j queue.Job, f control.Filter) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return same(f.State, j.Status.State.String()) && same(f.Result, j.Status.Result.String()) &&
		same(f.Topic, j.Topic) && same(f.Instance, j.Instance)
}

func (a *Agent) jobView(j queue.Job) control.Job {
	st := j.Status
	return control.Job{
		ID: string(j.ID), State: st.State.String(), Result: st.Result.String(), Topic: a.redactor.Redact(j.Topic), Action: j.Action, Target: a.redactor.Redact(j.Target),
		Name: a.redactor.Redact(j.Name), Source: a.redactor.Redact(j.Source), Pool: j.Pool.String(), Attempt: st.Attempt,
		Received: j.Received, Changed: st.Changed, Until: st.Until, Why: a.redactor.Redact(st.Why), Report: st.Report,
	}
}

// message reads a job's message and its payload; what cannot be read any more
// is left empty.
func (a *Agent) message(ctx context.Context, j queue.Job) (ecc.Message, ecc.Payload, error) {
	body, err := a.queue.Open(ctx, j.ID, queue.Message)
	if err != nil {
		return ecc.Message{}, ecc.Payload{}, err
	}
	data, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return ecc.Message{}, ecc.Payload{}, err
	}
	m, err := ecc.Decode(data)
	if err != nil {
		return m, ecc.Payload{}, err
	}
	payload, err := ecc.ParsePayload(m.Payload)
	return m, payload, err
}

// Job implements control.Agent.
func (a *Agent) Job(ctx context.Context, id string) (control.Detail, error) {
	j, err := a.queue.Get(ctx, queue.ID(id))
	if err != nil {
		return control.Detail{}, err
	}
	d := control.Detail{
		Job: a.jobView(j), Agent: j.Agent, Correlator: a.redactor.Redact(j.Correlator),
		Created: j.Created, Started: j.Status.Started, Sent: j.Status.Sent,
	}
	m, payload, err := a.message(ctx, j)
	if err != nil {
		return d, nil //nolint:nilerr // what is known is shown, also of a job whose message is dropped or malformed
	}
	d.Parameters = map[string]string{}
	served, _ := a.router.served(m, j.Action)
	hidden := map[string]bool{}
	for _, v := range ecc.SecretValues(payload, served.Action.Secrets...) {
		hidden[v] = true
	}
	for name, value := range ecc.Effective(m, payload).All() {
		if ecc.Secret(name, served.Action.Secrets...) || hidden[value] {
			value = "***"
		}
		d.Parameters[name] = a.redactor.Redact(value)
	}
	if params, _, err := dispatch.Parameters(m, payload); err == nil && served.Connector != "" {
		d.Effect = served.Action.EffectOf(params).String()
	}
	return d, nil
}

// Output implements control.Agent.
func (a *Agent) Output(ctx context.Context, id string) (io.ReadCloser, error) {
	j, err := a.queue.Get(ctx, queue.ID(id))
	if err != nil {
		return nil, err
	}
	body, err := a.queue.Open(ctx, j.ID, queue.Outcome)
	if errors.Is(err, queue.ErrNotFound) {
		if st := j.Status.State; !st.Final() && st != queue.Finished {
			return io.NopCloser(bytes.NewReader(nil)), nil // nothing yet
		}
		return nil, fault.New(fault.Invalid, "read the report of", id, errors.New("its text is no longer kept")).
			WithHint("find it on the instance by response_to")
	}
	if err != nil {
		return nil, err
	}
	r := report.NewReader(body)
	if _, err := r.Next(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the report of %s: %w", id, err), body.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{a.redactor.NewReader(r), body}, nil
}

// Explain implements control.Agent. A job whose message is not kept any more is
// explained by its record: the policy needs the parameters, and they are gone.
func (a *Agent) Explain(ctx context.Context, id string) (control.Explanation, error) {
	j, err := a.queue.Get(ctx, queue.ID(id))
	if err != nil {
		return control.Explanation{}, err
	}
	m, payload, err := a.message(ctx, j)
	if errors.Is(err, queue.ErrNotFound) {
		return a.explainRecord(j), nil
	}
	if err != nil {
		return control.Explanation{}, err
	}
	e := control.Explanation{Job: id, Steps: []control.Step{}}
	params, action, err := dispatch.Parameters(m, payload)
	if err != nil {
		return e, err
	}
	served, ok := a.router.served(m, action)
	if !ok {
		e.Reason = "nothing here serves it"
		return e, nil
	}
	request := dispatch.Request{Job: j, Served: served, Params: params}
	if served.Action.Subject != nil {
		if request.Subject, err = served.Action.Subject(params); err != nil {
			return e, err
		}
	}
	secrets, _ := scope(dispatch.Secrets(payload, served.Action.Secrets...))
	redact := func(s string) string { return secrets(a.redactor.Redact(s)) }
	d := a.policy.Explain(a.judge.request(request))
	e.Subject = redact(request.Subject.Text)
	e.Allow, e.Hold, e.Rule, e.Reason, e.Would = d.Allow, d.Hold, d.Rule, redact(d.Reason), redact(d.Would)
	e.Effect = served.Action.EffectOf(params).String()
	if d.Effect != nil {
		e.Effect = d.Effect.String()
	}
	for _, s := range d.Trace {
		e.Steps = append(e.Steps, control.Step{Rule: s.Rule, Matched: s.Fits, Why: redact(s.Why)})
	}
	return e, nil
}

// explainRecord tells what the record of a job says about its decision.
func (a *Agent) explainRecord(j queue.Job) control.Explanation {
	st := j.Status
	e := control.Explanation{
		Job: string(j.ID), Subject: a.redactor.Redact(j.Name), Steps: []control.Step{},
		Allow: st.Attempt > 0, Effect: "",
	}
	e.Reason = "its message is not kept any more, so that today's rules cannot be asked; " + st.State.String()
	if st.Result != queue.NoResult {
		e.Reason += ", " + st.Result.String()
	}
	if st.Why != "" {
		e.Reason += ": " + a.redactor.Redact(st.Why)
	}
	return e
}
