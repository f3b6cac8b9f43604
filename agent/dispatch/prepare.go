package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// plan is everything that is known about a job before it runs.
type plan struct {
	job     queue.Job
	message ecc.Message
	payload ecc.Payload
	served  connectors.Served
	params  connectors.Params
	subject connectors.Subject
	session connectors.Session
	verdict Verdict
	effect  connectors.Effect
	timeout time.Duration
	saved   []byte
	scope   scope
}

// ending is what a job ends with when no connector says it.
type ending struct {
	result  queue.Result
	message string
	started bool // an attempt was begun
	hold    bool // not an end: the job is held
	until   time.Time
}

// defaultMaxAge is how old a message may be when it starts.
const defaultMaxAge = 24 * time.Hour

// prepare reads the job's message and finds what runs it. The plan is usable
// for a report in any case.
func (d *Dispatcher) prepare(ctx context.Context, job queue.Job) (*plan, *ending) {
	p := &plan{job: job, timeout: d.Timeout, scope: scope{d.Redact, d.RedactReader}}
	body, err := d.body(ctx, job.ID, queue.Message)
	if err == nil {
		p.message, err = ecc.Decode(body)
	}
	if err != nil {
		p.message = messageOf(job)
		return p, bad(p, err)
	}
	if p.payload, err = ecc.ParsePayload(p.message.Payload); err != nil {
		return p, bad(p, err)
	}
	d.conceal(p)
	err = d.understand(ctx, p)
	if len(p.served.Action.Secrets) > 0 {
		d.conceal(p) // the action has secrets of its own
	}
	if err != nil {
		return p, bad(p, err)
	}
	if job.Status.Attempt > 0 { // only what was started can have saved something
		if p.saved, err = d.body(ctx, job.ID, queue.Saved); err != nil && !errors.Is(err, queue.ErrNotFound) {
			return p, bad(p, err)
		}
	}
	p.verdict = d.Judge.Judge(p.request())
	if p.verdict.Effect != nil {
		p.effect = *p.verdict.Effect
	}
	if p.verdict.Timeout > 0 {
		p.timeout = p.verdict.Timeout
	}
	return p, nil
}

func (p *plan) request() Request {
	return Request{Job: p.job, Served: p.served, Params: p.params, Subject: p.subject}
}

// bad is the ending of a job that cannot be understood.
func bad(p *plan, err error) *ending {
	return &ending{result: queue.Failed, message: p.explain(err)}
}

// understand asks the connector's declarations about the call. They see what the
// instance sent before anything has judged it, and a mistake in them must not
// end the agent.
func (d *Dispatcher) understand(ctx context.Context, p *plan) (err error) {
	defer func() {
		if r := recover(); r != nil {
			d.Log.ErrorContext(ctx, "connector panicked", slog.String("job", string(p.job.ID)), slog.Any("panic", r), slog.String("stack", stack()))
			err = fault.New(fault.Internal, "read the call of", p.job.Topic, errors.New("the connector panicked")).
				WithHint("report this with the agent's log")
		}
	}()
	if err := d.resolve(p); err != nil {
		return err
	}
	p.effect = p.served.Action.EffectOf(p.params)
	return nil
}

// resolve finds the action and its parameters.
func (d *Dispatcher) resolve(p *plan) error {
	params, action, err := Parameters(p.message, p.payload)
	if err != nil {
		return err
	}
	p.params = params
	if action == "" {
		served, ok := d.Registry.Topic(p.message.Topic)
		if !ok {
			return unserved("topic", p.message.Topic)
		}
		p.served = served
	} else {
		served, ok := d.Registry.Action(action)
		if !ok {
			return unserved("action", action)
		}
		p.served = served
		if err := d.schemas.check(served.Action.Name, params); err != nil {
			return err
		}
	}
	if p.served.Action.Subject == nil {
		p.subject = connectors.Subject{Text: p.served.Action.Name}
		return nil
	}
	p.subject, err = p.served.Action.Subject(params)
	return err
}

func unserved(what, name string) error {
	if name == "" {
		return fault.New(fault.Invalid, "read the message", "", fmt.Errorf("it has no %s", what)).
			WithHint("set the " + what + " where the message is written")
	}
	return fault.New(fault.Invalid, "find what serves the "+what, fmt.Sprintf("%q", name), errors.New("no connector of this agent serves it")).
		WithHint("`sallyport connectors list` names everything that is served; keep the MID Server for this " + what)
}

// admit asks for everything that may keep an unstarted job from starting.
func (d *Dispatcher) admit(p *plan) *ending {
	age := d.Now().Sub(p.job.Created)
	most := p.verdict.MaxAge
	if most == 0 {
		most = defaultMaxAge
	}
	switch {
	case !p.verdict.Allow:
		return &ending{result: queue.Denied, message: p.scope.redact(denied(p.verdict))}
	case !p.job.Created.IsZero() && age > most:
		return &ending{result: queue.Expired, message: fmt.Sprintf("expired: the message is %v old and its rule lets it start within %v", age.Round(time.Second), most)}
	case p.verdict.Hold && p.job.Status.Approved == "" && (p.verdict.Until.IsZero() || p.verdict.Until.After(d.Now())):
		return &ending{hold: true, until: p.verdict.Until, message: p.scope.redact(p.verdict.Reason)}
	default:
		return nil
	}
}

func denied(v Verdict) string {
	text := "denied by the policy on site: " + v.Reason
	if v.Remedy != "" {
		text += ". This rule would allow it:\n" + v.Remedy
	}
	return text
}

// open opens the session of the plan's target.
func (d *Dispatcher) open(ctx context.Context, p *plan) error {
	s, err := d.Targets.Session(ctx, p.served.Connector, p.job.Target)
	if err != nil {
		return err
	}
	p.session = s
	return nil
}

// body reads a whole body of a job.
func (d *Dispatcher) body(ctx context.Context, id queue.ID, part queue.Part) ([]byte, error) {
	r, err := d.Queue.Open(ctx, id, part)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return data, err
}

// messageOf rebuilds as much of a message as the job's record holds, to report
// that its body is lost.
func messageOf(j queue.Job) ecc.Message {
	return ecc.Message{
		SysID: j.SysID, Agent: j.Agent, Topic: j.Topic, Name: j.Name, Source: j.Source,
		AgentCorrelator: j.Correlator, Sequence: j.Sequence, Priority: j.Priority, Created: j.Created,
	}
}

// Parameters returns the effective parameters of a message: the record's fields
// with the payload's over them. For the native topic it returns the action, and
// the parameters as that action declares them.
func Parameters(m ecc.Message, payload ecc.Payload) (params connectors.Params, action string, err error) {
	if !ecc.IsNative(m.Topic) {
		params = connectors.Params{}
		for name, value := range ecc.Effective(m, payload).All() {
			params[name] = value
		}
		return params, "", nil
	}
	effective := ecc.Effective(m, payload)
	action, _ = effective.Get("name")
	if action == "" {
		return nil, "", unserved("action", "")
	}
	values, err := ecc.NativeParams(payload)
	return connectors.Params(values), action, err
}
