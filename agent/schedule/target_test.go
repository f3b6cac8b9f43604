package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// kinds are the model's actions: every effect, with and without a way to find
// out later.
var kinds = []string{"read", "set", "once", "bare", "find", "wait"}

// process is what the model's runner, or the target itself, knows of a job. It
// survives the agent.
type process struct {
	done   time.Time
	fenced int // attempts up to this one can never begin
	begun  int // the attempt that began; 0: none
}

// target is the connector, the session, the runner and the system behind them.
type target struct {
	w         *world
	inst      *instance
	effects   map[string]int // by sys_id: how often the outside world was changed
	processes map[string]*process
	objects   map[string]string // by key: what exists at the target
}

func newTarget(w *world, inst *instance) *target {
	return &target{w: w, inst: inst, effects: map[string]int{}, processes: map[string]*process{}, objects: map[string]string{}}
}

func (t *target) Describe() connectors.Descriptor {
	d := connectors.Descriptor{Name: "model", Implicit: true}
	effects := map[string]connectors.Effect{
		"read": connectors.ReadOnly, "set": connectors.Idempotent, "once": connectors.AtMostOnce,
		"bare": connectors.AtMostOnce, "find": connectors.Recoverable, "wait": connectors.Recoverable,
	}
	for _, kind := range kinds {
		d.Actions = append(d.Actions, connectors.Action{
			Name: "model." + kind, Topics: []string{kind},
			Effect: func(connectors.Params) connectors.Effect { return effects[kind] },
		})
	}
	return d
}

func (t *target) Open(context.Context, connectors.Settings) (connectors.Session, error) {
	return t, nil
}

func (t *target) Probe(context.Context) error { return nil }

func (t *target) Close() error { return nil }

func kindOf(call *connectors.Call) string { return strings.TrimPrefix(call.Action, "model.") }

// repeatable reports whether a kind's effect may happen again.
func repeatable(kind string) bool { return kind == "read" || kind == "set" }

func (t *target) change(call *connectors.Call) {
	_, sysID, _, err := queue.ID(call.Job).Split()
	if err != nil {
		t.w.violated("%v", err)
	}
	t.effects[sysID]++
	t.w.logf("target: %s has its effect, attempt %d", call.Job, call.Attempt)
	if t.effects[sysID] > 1 && !repeatable(kindOf(call)) {
		t.w.violated("%s of %s had its effect %d times", call.Action, call.Job, t.effects[sysID])
	}
	if t.inst.rows[sysID].gone && call.Attempt == 1 {
		t.w.violated("%s was started after the instance had shown that it is another agent's", call.Job)
	}
}

func done(call *connectors.Call) *connectors.Outcome {
	return &connectors.Outcome{Items: []connectors.Item{{Fields: []connectors.Text{{Name: "output", Value: call.Job}}}}}
}

func (t *target) Run(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	t.w.point()
	if t.w.chance(15) {
		return nil, fault.New(fault.Unavailable, "reach", "the model's target", errors.New("refused"))
	}
	switch kindOf(call) {
	case "read":
		if t.w.chance(15) {
			return nil, fault.New(fault.Unknown, "read", "the model's target", errors.New("cut"))
		}
		return done(call), nil
	case "set":
		t.change(call)
		t.w.point()
		if t.w.chance(15) {
			return nil, fault.New(fault.Unknown, "set", "the model's target", errors.New("cut"))
		}
		return done(call), nil
	case "once":
		return t.supervised(ctx, call)
	case "bare":
		t.change(call)
		t.w.point()
		if t.w.chance(15) {
			return nil, fault.New(fault.Unknown, "run", "the model's target", errors.New("cut"))
		}
		return done(call), nil
	case "find":
		return t.keyed(ctx, call)
	default:
		return t.waiting(ctx, call)
	}
}

// supervised runs the call in the model's runner, as command does.
func (t *target) supervised(_ context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	p := t.process(call.Job)
	if p.begun == 0 {
		if call.Attempt <= p.fenced {
			return nil, fault.New(fault.Conflict, "start", call.Job, errors.New("fenced"))
		}
		p.begun, p.done = call.Attempt, t.w.now.Add(time.Duration(t.w.rng.IntN(30))*time.Second)
		t.change(call)
	}
	t.w.pause(p.done)
	return done(call), nil
}

func (t *target) process(job string) *process {
	p := t.processes[job]
	if p == nil {
		p = &process{}
		t.processes[job] = p
	}
	return p
}

// keyed creates an object at the target: the key is saved before, the id after.
func (t *target) keyed(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	if err := call.Host.Save(ctx, []byte("key "+call.Job)); err != nil {
		return nil, err
	}
	t.w.point()
	t.objects[call.Job] = "made"
	t.change(call)
	t.w.point()
	if t.w.chance(10) {
		return nil, fault.New(fault.Unknown, "create", "the model's target", errors.New("cut"))
	}
	if err := call.Host.Save(ctx, []byte("id "+call.Job)); err != nil {
		return nil, fault.New(fault.Unknown, "create", "the model's target", err)
	}
	return done(call), nil
}

// waiting asks another system for something and looks at it until it is there.
func (t *target) waiting(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	if t.objects[call.Job] == "" {
		if err := call.Host.Save(ctx, []byte("key "+call.Job)); err != nil {
			return nil, err
		}
		t.w.point()
		t.objects[call.Job] = t.w.now.Add(time.Minute).Format(time.RFC3339)
		t.change(call)
		t.w.point()
	}
	due, err := time.Parse(time.RFC3339, t.objects[call.Job])
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if t.w.now.Before(due) {
		return &connectors.Outcome{Wait: &connectors.Wait{Until: t.w.now.Add(20 * time.Second), Why: "the model takes its time"}}, nil
	}
	return done(call), nil
}

// Recover implements connectors.Recoverer.
func (t *target) Recover(_ context.Context, call *connectors.Call) (connectors.Found, *connectors.Outcome, error) {
	t.w.point()
	if t.w.chance(10) {
		return 0, nil, fault.New(fault.Unavailable, "look", "the model's target", errors.New("refused"))
	}
	switch kindOf(call) {
	case "once":
		p := t.process(call.Job)
		switch {
		case p.begun == 0:
			p.fenced = max(p.fenced, call.Attempt)
			return connectors.FoundNone, nil, nil
		case p.done.After(t.w.now):
			return connectors.FoundRunning, nil, nil
		default:
			return connectors.FoundDone, done(call), nil
		}
	case "find":
		if t.objects[call.Job] == "" {
			return connectors.FoundNone, nil, nil
		}
		return connectors.FoundDone, done(call), nil
	case "wait":
		if t.objects[call.Job] == "" {
			return connectors.FoundNone, nil, nil
		}
		return connectors.FoundRunning, nil, nil
	default:
		return connectors.FoundAmbiguous, nil, nil
	}
}
