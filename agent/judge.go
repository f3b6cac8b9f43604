package agent

import (
	"time"

	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/policy"
)

// judge puts dispatch's questions to the policy.
type judge struct {
	policy *policy.Policy
	now    func() time.Time
}

func (j *judge) request(r dispatch.Request) policy.Request {
	host := r.Subject.Host
	return policy.Request{
		Instance: r.Job.Instance, Topic: r.Job.Topic, Action: r.Served.Action.Name, Target: r.Job.Target, Host: host,
		Credential: r.Params.String("credential"), RunAs: r.Params.String("run_as"),
		Params: r.Params, Subject: r.Subject, Created: r.Job.Created, Now: j.now(), Approved: r.Job.Status.Approved != "",
	}
}

// Judge implements dispatch.Judge.
func (j *judge) Judge(r dispatch.Request) dispatch.Verdict {
	d := j.policy.Decide(j.request(r))
	v := dispatch.Verdict{
		Allow: d.Allow || d.Hold || d.Expired, Hold: d.Hold, Reason: d.Reason, Remedy: d.Would,
		Grant: d.Grant, Effect: d.Effect, MaxAge: d.MaxAge,
	}
	if d.RetryAfter > 0 { // the rule's frequency is used up: a time, not a refusal
		v.Allow, v.Hold, v.Until = true, true, j.now().Add(d.RetryAfter)
	}
	return v
}

// Started implements dispatch.Judge.
func (j *judge) Started(r dispatch.Request, _ dispatch.Verdict) bool {
	d := j.policy.Decide(j.request(r))
	return d.Allow && j.policy.Commit(d) == nil
}

// again reports whether a call that ran may run anew.
func (j *judge) again(r dispatch.Request) bool {
	d := j.policy.Decide(j.request(r))
	effect := r.Served.Action.EffectOf(r.Params)
	if d.Effect != nil {
		effect = *d.Effect
	}
	return d.Requeue || effect.Repeatable()
}
