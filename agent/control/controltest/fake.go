// Package controltest has an Agent that answers from memory, for tests of what
// talks to one.
//
// Imports: agent/control, agent/fault and queue.
package controltest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Agent is a control.Agent that holds jobs in memory. The zero value has none.
// It is safe for concurrent use once it is served.
type Agent struct {
	State    control.Status
	Details  []control.Detail
	Reports  map[string]string // output by job id
	Broken   map[string]error  // how the output of a job breaks off at its end
	Decision control.Explanation
	Panic    bool // Status panics

	mu    sync.Mutex
	calls []string
}

// Calls returns the changes that were asked for, one line each.
func (a *Agent) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func (a *Agent) note(parts ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, strings.Join(parts, " "))
}

// Status returns State, with the mode that was last asked for.
func (a *Agent) Status(context.Context) control.Status {
	if a.Panic {
		panic("a defect with s3cret inside")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.State
}

// Jobs filters Details.
func (a *Agent) Jobs(_ context.Context, f control.Filter) ([]control.Job, error) {
	var list []control.Job
	for _, d := range a.Details {
		if (f.State == "" || f.State == d.State) && (f.Result == "" || f.Result == d.Result) &&
			(f.Topic == "" || f.Topic == d.Topic) && (f.Instance == "" || strings.HasPrefix(d.ID, f.Instance+"/")) {
			list = append(list, d.Job)
		}
	}
	return list[:min(len(list), cmp.Or(f.Limit, 100))], nil
}

// Job finds one of Details.
func (a *Agent) Job(_ context.Context, id string) (control.Detail, error) {
	i := slices.IndexFunc(a.Details, func(d control.Detail) bool { return d.ID == id })
	if i < 0 {
		return control.Detail{}, fault.New(fault.Conflict, "read job", id, queue.ErrNotFound).
			WithHint("`sallyport jobs list` names the jobs")
	}
	return a.Details[i], nil
}

// Output returns the report of a job.
func (a *Agent) Output(ctx context.Context, id string) (io.ReadCloser, error) {
	if _, err := a.Job(ctx, id); err != nil {
		return nil, err
	}
	var r io.Reader = strings.NewReader(a.Reports[id])
	if err := a.Broken[id]; err != nil {
		r = io.MultiReader(r, broken{err})
	}
	return io.NopCloser(r), nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// Explain returns Decision for a job that is known.
func (a *Agent) Explain(ctx context.Context, id string) (control.Explanation, error) {
	d, err := a.Job(ctx, id)
	if err != nil {
		return control.Explanation{}, err
	}
	e := a.Decision
	e.Job, e.Subject = id, d.Name
	return e, nil
}

// Cancel is noted; a delivered job is a conflict.
func (a *Agent) Cancel(ctx context.Context, id, by string) error {
	d, err := a.Job(ctx, id)
	if err == nil && d.State == "delivered" {
		err = fault.New(fault.Conflict, "cancel", id, errors.New("it is delivered already")).
			WithHint("see `sallyport jobs show` for its outcome")
	}
	if err == nil {
		a.note("cancel", id, by)
	}
	return err
}

// Approve is noted; a job that is not held is a conflict.
func (a *Agent) Approve(ctx context.Context, id, by string) error {
	d, err := a.Job(ctx, id)
	if err == nil && d.State != "held" {
		err = fault.New(fault.Conflict, "approve", id, errors.New("it is "+d.State+", not held")).
			WithHint("`sallyport jobs list --state held` names what waits for an approval")
	}
	if err == nil {
		a.note("approve", id, by)
	}
	return err
}

// Retry is noted and makes run 2; a job that succeeded needs force.
func (a *Agent) Retry(ctx context.Context, id, by string, force bool) (string, error) {
	d, err := a.Job(ctx, id)
	if err == nil && d.Result == "ok" && !force {
		err = fault.New(fault.Conflict, "retry", id, errors.New("it succeeded")).WithHint("add --force to run it again all the same")
	}
	if err != nil {
		return "", err
	}
	a.note("retry", id, by)
	return id + "#2", nil
}

// Pause is noted and changes State.
func (a *Agent) Pause(_ context.Context, note, by string) error { return a.mode("paused", note, by) }

// Drain is like Pause.
func (a *Agent) Drain(_ context.Context, note, by string) error { return a.mode("draining", note, by) }

// Resume is like Pause.
func (a *Agent) Resume(_ context.Context, by string) error { return a.mode("running", "", by) }

func (a *Agent) mode(state, note, by string) error {
	a.note(state, note, by)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.State.Mode = control.Mode{State: state, Note: note, By: by, Since: a.State.Mode.Since}
	return nil
}

// Sample returns an Agent with something of everything, at a fixed time.
func Sample(now time.Time) *Agent {
	job := func(id, state, result, name, why string) control.Detail {
		return control.Detail{
			Job: control.Job{
				ID: "prod/" + id, State: state, Result: result, Topic: "Command", Action: "command.run", Target: "command",
				Name: name, Pool: "standard", Attempt: 1, Received: now.Add(-time.Minute), Changed: now, Why: why,
			},
			Agent: "mid.server.edge1", Effect: "at_most_once", Parameters: map[string]string{"password": "***"},
		}
	}
	return &Agent{
		State: control.Status{
			Name: "edge1", Version: "1.2.3", PID: 4321, Started: now.Add(-time.Hour), Account: "sallyport",
			Mode: control.Mode{State: "running", Since: now.Add(-time.Hour)},
			Instances: []control.Instance{{
				Name: "prod", URL: "https://example.service-now.com", Agent: "mid.server.edge1", Link: "up", LastPoll: now.Add(-2 * time.Second), Unreported: 1,
			}},
			Jobs: control.Jobs{
				States: map[string]int{"claimed": 7, "started": 1, "held": 1, "finished": 1}, Results: map[string]uint64{"ok": 40, "failed": 2},
				Delivered: 41, OldestUndelivered: now.Add(-5 * time.Second), Busy: map[string]int{"standard": 1}, Workers: map[string]int{"standard": 25},
			},
			Running: []control.Running{{ID: "prod/b", Action: "command.run", Name: "/usr/bin/backup --all", Since: now.Add(-90 * time.Second), Percent: 40, Progress: "copying"}},
			Waiting: []control.Waiting{{ID: "prod/c", State: "held", Name: "/usr/bin/reboot", Why: "rule reboot asks for an approval"}},
			Disk:    control.Disk{Path: "/var/lib/sallyport", Used: 12 << 20, Free: 30 << 30},
			Runner:  control.Runner{PID: 4322, Version: "1.2.3", Account: "sallyport-run", Mode: "installed"},
			Policy:  control.Policy{Default: "deny", Rules: 3},
		},
		Details: []control.Detail{
			job("a", "delivered", "ok", "/usr/bin/uptime", ""),
			job("b", "started", "", "/usr/bin/backup --all", ""),
			job("c", "held", "", "/usr/bin/reboot", "rule reboot asks for an approval"),
			job("d", "delivered", "denied", "/bin/evil \x1b[31m red", "no rule allows it"),
		},
		Reports: map[string]string{"prod/a": "up 3 days\n", "prod/d": "denied\x1b[2J\n"},
		Decision: control.Explanation{
			Allow: false, Reason: "no rule allows it", Effect: "at_most_once",
			Would: "[[policy.rule]]\nallow = [\"Command\"]\nnames = [\"/bin/evil\"]\n",
			Steps: []control.Step{{Rule: "uptime", Why: "the name does not fit"}},
		},
	}
}
