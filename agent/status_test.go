package agent_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// TestStatusHasEverything that an operator asks first.
func TestStatusHasEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	a := s.start()
	s.is(s.native("diag.echo", "{}"), "delivered")
	s.is(s.native("diag.fail", "{}"), "delivered")
	s.is(s.native("diag.wait", `{"times":1,"seconds":3600}`), "waiting")
	slow := s.native("diag.sleep", `{"seconds":3600}`)
	// The summary follows the journal within moments.
	var st control.Status
	s.until("status shows what runs", func() bool {
		st = a.Status(t.Context())
		return len(st.Running) == 1 && st.Jobs.States["started"] == 1 && st.Jobs.States["waiting"] == 1 && st.Jobs.Delivered == 2
	})
	if st.Name != "edge1" || st.Version != "test" || st.PID == 0 || st.Started.IsZero() || st.Mode.State != "running" || st.Account == "" {
		t.Errorf("the agent: %+v", st)
	}
	in := st.Instances[0]
	if in.Name != "prod" || in.Agent != me || in.Link != "up" || in.LastPoll.IsZero() || in.Unreported != 0 || in.URL == "" {
		t.Errorf("the link: %+v", in)
	}
	j := st.Jobs
	if j.Delivered != 2 || j.Results["succeeded"] != 1 || j.Results["failed"] != 1 || j.States["started"] != 1 || j.States["waiting"] != 1 {
		t.Errorf("the jobs: %+v", j)
	}
	if d := cmp.Diff(map[string]int{"interactive": 0, "expedited": 0, "standard": 1}, j.Busy); d != "" {
		t.Error(d)
	}
	if j.Workers["standard"] != 25 || !j.OldestUndelivered.IsZero() {
		t.Errorf("the workers: %+v", j)
	}
	if len(st.Running) != 1 || st.Running[0].ID != "prod/"+slow || st.Running[0].Action != "diag.sleep" || st.Running[0].Since.IsZero() {
		t.Errorf("running: %+v", st.Running)
	}
	if st.Disk.Path != s.state || st.Disk.Used == 0 || st.Disk.Free == 0 || st.Disk.Error != "" {
		t.Errorf("the disk: %+v", st.Disk)
	}
	if st.Runner.PID == 0 || st.Runner.Mode != "forked" || st.Runner.Error != "" {
		t.Errorf("the runner: %+v", st.Runner)
	}
	if st.Policy.Default != "deny" || st.Policy.Rules != 1 || len(st.Problems) != 0 {
		t.Errorf("policy and problems: %+v %q", st.Policy, st.Problems)
	}
	if err := a.Cancel(t.Context(), "prod/"+slow, "me"); err != nil {
		t.Fatal(err)
	}
}

// TestReportsThatCannotLeave are counted and named in status, and leave when
// the instance takes them again.
func TestReportsThatCannotLeave(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	fault := simulator.Fault{Method: "POST", Table: "ecc_queue", Topic: "Sallyport", Effect: simulator.Unavailable}
	ids, err := s.inst.Faults().Add(fault)
	if err != nil {
		t.Fatal(err)
	}
	a := s.start()
	id := s.native("diag.echo", "{}")
	s.is(id, "finished")
	s.until("status tells of the report", func() bool {
		st := a.Status(t.Context())
		return st.Instances[0].Unreported == 1 && !st.Jobs.OldestUndelivered.IsZero() && st.Instances[0].Delivery != "" &&
			slices.ContainsFunc(st.Problems, func(p string) bool { return strings.Contains(p, "reports to prod wait") })
	})
	if !s.inst.Faults().Remove(ids[0]) {
		t.Fatal("no fault")
	}
	s.report(id)
	s.is(id, "delivered")
	s.until("status is well", func() bool {
		st := a.Status(t.Context())
		return len(st.Problems) == 0 && st.Instances[0].Unreported == 0
	})
}

// TestOwnUser: what is wrong with the agent's user on the instance is shown.
func TestOwnUser(t *testing.T) {
	t.Parallel()
	all := simulator.ACL{Read: []string{"*"}}
	for name, c := range map[string]struct {
		user simulator.User
		want string
	}{
		"admin":   {simulator.User{Roles: []string{"admin", "mid_server"}}, "has the role admin"},
		"no role": {simulator.User{Roles: []string{"itil"}}, "lacks the role mid_server"},
		"fine":    {simulator.User{Roles: []string{"mid_server"}, TimeZone: "Europe/Berlin"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.user.Name, c.user.Password, c.user.WebServiceOnly = "mid", password, true
			s := newSite(t, simulator.Options{
				Users: []simulator.User{c.user}, ACL: map[string]simulator.ACL{
					"sys_user": all, "ecc_queue": {Read: []string{"mid_server"}, Insert: []string{"mid_server"}},
				},
				Tables: []simulator.Table{
					{Name: "sys_user_role", Display: "name", ACL: all, Columns: []simulator.Column{{Name: "name"}}},
					{Name: "sys_user_has_role", ACL: all, Columns: []simulator.Column{
						{Name: "user", Kind: simulator.Reference, Ref: "sys_user"}, {Name: "role", Kind: simulator.Reference, Ref: "sys_user_role"},
					}},
				},
			}, diagRule)
			users, err := s.inst.Query("sys_user", "user_name=mid")
			if err != nil || len(users) != 1 {
				t.Fatal(users, err)
			}
			for _, name := range c.user.Roles {
				role, err := s.inst.Insert("sys_user_role", simulator.Record{"name": name})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.inst.Insert("sys_user_has_role", simulator.Record{"user": users[0]["sys_id"], "role": role}); err != nil {
					t.Fatal(err)
				}
			}
			a := s.start()
			hits := func() uint64 { return s.inst.Hits(http.MethodGet, "/api/now/table/sys_user_has_role") }
			s.until("the user is read", func() bool { return hits() > 0 })
			if c.want == "" {
				s.polls(5)
				if st := a.Status(t.Context()); len(st.Problems) != 0 {
					t.Errorf("problems %q", st.Problems)
				}
				return
			}
			s.until("status tells "+c.want, func() bool {
				return slices.ContainsFunc(a.Status(t.Context()).Problems, func(p string) bool { return strings.Contains(p, c.want) })
			})
		})
	}
}

// TestExplainWithoutTheMessage: a job whose bodies are dropped is still
// explained, as far as its record goes.
func TestExplainWithoutTheMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.change = func(c *config.Config) { c.Queue.KeepOutcomes = 1 }
	a := s.start()
	old := s.command("/bin/rm -rf /")
	s.is(old, "delivered")
	for range 3 {
		s.is(s.native("diag.echo", "{}"), "delivered")
	}
	e, err := a.Explain(t.Context(), "prod/"+old)
	if err != nil || e.Allow || e.Subject != "/bin/rm -rf /" || !strings.Contains(e.Reason, "not kept any more") || !strings.Contains(e.Reason, "denied by the policy") {
		t.Errorf("%+v; %v", e, err)
	}
}
