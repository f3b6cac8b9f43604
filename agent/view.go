package agent

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/bolt"
)

var _ control.Agent = (*Agent)(nil)

// mostWaiting bounds the waiting and held jobs that a status names.
const mostWaiting = 50

// Status implements control.Agent.
func (a *Agent) Status(ctx context.Context) control.Status {
	counts := a.queue.Counts()
	s := control.Status{
		Name: a.conf.Name, Version: a.opts.Version, PID: os.Getpid(), Started: a.started.UTC(), Mode: a.mode.get(), Account: account(),
		Jobs: a.jobCounts(counts), Running: []control.Running{}, Waiting: a.waiting(ctx, counts),
		Disk:   a.disk(ctx, counts),
		Runner: a.runnerView(ctx),
		Policy: control.Policy{Default: a.conf.Policy.Default, Rules: len(a.conf.Policy.Rules)},
	}
	unreported := a.unreported(ctx)
	for _, in := range a.instances {
		s.Instances = append(s.Instances, a.instanceView(in, unreported[in.conf.Name]))
	}
	for _, r := range a.dispatch.Running() {
		s.Running = append(s.Running, control.Running{
			ID: string(r.Job.ID), Action: r.Job.Action, Name: a.redactor.Redact(r.Job.Name),
			Since: r.Since.UTC(), Percent: r.Percent, Progress: r.Progress,
		})
	}
	s.Problems = problems(&s)
	for i, in := range a.instances {
		v := &s.Instances[i]
		for _, text := range in.loginProblems(v.Error != "" || v.Delivery != "") {
			s.Problems = append(s.Problems, a.redactor.Redact(text))
		}
	}
	return s
}

// account names who the agent runs as.
func account() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("uid %d", os.Getuid())
	}
	return u.Username
}

func (a *Agent) jobCounts(c queue.Counts) control.Jobs {
	j := control.Jobs{
		States: map[string]int{}, Results: map[string]uint64{}, Delivered: c.Delivered, OldestUndelivered: c.Oldest,
		Quarantined: c.Quarantined, Busy: map[string]int{}, Workers: map[string]int{},
	}
	for state, n := range c.States {
		j.States[state.String()] = n
	}
	for result, n := range c.Results {
		j.Results[result.String()] = n
	}
	busy := a.dispatch.Busy()
	for _, p := range queue.Pools() {
		j.Busy[p.String()] = busy[p]
		j.Workers[p.String()] = a.dispatch.Pools[p]
	}
	return j
}

// waiting names the jobs that wait or are held, unless there are none.
func (a *Agent) waiting(ctx context.Context, c queue.Counts) []control.Waiting {
	list := []control.Waiting{}
	if c.States[queue.Waiting]+c.States[queue.Held] == 0 {
		return list
	}
	for j, err := range a.queue.Unfinished(ctx) {
		if err != nil || len(list) == mostWaiting {
			break
		}
		if s := j.Status.State; s == queue.Waiting || s == queue.Held {
			list = append(list, control.Waiting{
				ID: string(j.ID), State: s.String(), Name: a.redactor.Redact(j.Name),
				Why: a.redactor.Redact(j.Status.Why), Until: j.Status.Until,
			})
		}
	}
	return list
}

func (a *Agent) disk(ctx context.Context, c queue.Counts) control.Disk {
	d := control.Disk{Path: a.conf.StateDir, Used: c.Bytes}
	if free, err := bolt.FreeBytes(a.conf.StateDir); err == nil {
		d.Free = free
	}
	if err := a.queue.Health(ctx); err != nil {
		d.Error = err.Error()
	}
	return d
}

func (a *Agent) runnerView(ctx context.Context) control.Runner {
	r := control.Runner{Mode: "forked", Account: account()}
	if a.conf.Runner.Mode == "installed" {
		r.Mode = "installed"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	info, err := a.runner.Ping(ctx)
	if err != nil {
		r.Error = a.redactor.Redact(err.Error())
		return r
	}
	r.PID, r.Version = info.PID, info.Version
	return r
}

func (a *Agent) instanceView(in *instance, unreported int) control.Instance {
	st, del := in.intake.Status(), in.delivery.Status()
	v := control.Instance{
		Name: in.conf.Name, URL: in.conf.URL, Agent: in.agent, LastPoll: st.Contact.UTC(),
		Blocked: st.Blocked, Unreported: unreported, Twin: in.twinText(), Link: "up",
	}
	if st.Contact.IsZero() {
		v.Link, v.LastPoll = "never", time.Time{}
	} else if time.Since(st.Contact) > 2*time.Minute+2*in.conf.Poll {
		v.Link = "down"
	}
	if st.Err != nil {
		if v.Link == "up" && time.Since(st.Contact) > 3*in.conf.Poll {
			v.Link = "down"
		}
		v.Error, v.Hint = a.redactor.Redact(st.Err.Error()), fault.HintOf(st.Err)
	}
	if del.Err != nil {
		v.Delivery = a.redactor.Redact(del.Err.Error())
	}
	return v
}

// problems names what a person should act upon, the worst first.
func problems(s *control.Status) []string {
	var list []string
	if s.Disk.Error != "" {
		list = append(list, "the queue cannot be written: "+s.Disk.Error)
	}
	for _, in := range s.Instances {
		if in.Twin != "" {
			list = append(list, fmt.Sprintf("another agent of this name works on %s: %s", in.Name, in.Twin))
		}
		if in.Link != "up" && in.Error != "" {
			list = append(list, fmt.Sprintf("no link to %s: %s", in.Name, in.Error))
		} else if in.Error != "" {
			list = append(list, fmt.Sprintf("%s answers, but its work cannot be taken: %s", in.Name, in.Error))
		}
		if in.Delivery != "" {
			list = append(list, fmt.Sprintf("reports to %s wait: %s", in.Name, in.Delivery))
		}
	}
	if s.Runner.Error != "" {
		list = append(list, "no runner, programs cannot be started: "+s.Runner.Error)
	}
	if s.Jobs.Quarantined > 0 {
		list = append(list, fmt.Sprintf("%d records of the queue are broken and kept aside", s.Jobs.Quarantined))
	}
	if n := s.Jobs.Results[queue.Unknown.String()]; n > 0 {
		list = append(list, fmt.Sprintf("%d outcomes since the start are unknown; see `sallyport jobs list --result unknown`", n))
	}
	if s.Policy.Rules == 0 {
		list = append(list, "no rule allows anything; see `sallyport policy explain` for a denied job")
	}
	return list
}

// Pause implements control.Agent.
func (a *Agent) Pause(_ context.Context, note, by string) error {
	return a.mode.set(modePaused, note, by, time.Now())
}

// Drain implements control.Agent.
func (a *Agent) Drain(_ context.Context, note, by string) error {
	return a.mode.set(modeDraining, note, by, time.Now())
}

// Resume implements control.Agent.
func (a *Agent) Resume(_ context.Context, by string) error {
	if err := a.mode.set(modeRunning, "", by, time.Now()); err != nil {
		return err
	}
	for _, in := range a.instances {
		in.intake.Wake()
	}
	a.dispatch.Wake()
	return nil
}

// Cancel implements control.Agent.
func (a *Agent) Cancel(ctx context.Context, id, by string) error {
	return a.dispatch.Cancel(ctx, queue.ID(id), by)
}

// Approve implements control.Agent.
func (a *Agent) Approve(ctx context.Context, id, by string) error {
	return a.dispatch.Approve(ctx, queue.ID(id), by)
}

// Retry implements control.Agent.
func (a *Agent) Retry(ctx context.Context, id, by string, force bool) (string, error) {
	job, err := a.queue.Get(ctx, queue.ID(id))
	if err != nil {
		return "", err
	}
	switch st := job.Status; {
	case st.State == queue.Waiting:
		return id, a.queue.Mark(ctx, queue.Mark{Job: job.ID, Until: time.Now(), Why: "made due by " + by})
	case st.State != queue.Delivered:
		return "", fault.New(fault.Conflict, "retry", id, fmt.Errorf("it is %s", st.State)).
			WithHint("a job can be run anew when its report was delivered")
	case !force && !slices.Contains([]queue.Result{queue.Failed, queue.Denied, queue.Canceled, queue.Expired}, st.Result):
		return "", fault.New(fault.Denied, "retry", id, fmt.Errorf("it %s, and may have its effect twice", st.Result)).
			WithHint("use --force after checking what it did")
	}
	return a.dispatch.RunAgain(ctx, job)
}
