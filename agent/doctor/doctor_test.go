package doctor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/doctor"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// instance is a healthy instance; a test breaks what it is about.
type instance struct {
	dns, connect, tls, clock, login error
	skew                            time.Duration
	report                          servicenow.TLSReport
	user                            servicenow.User
	rights                          servicenow.QueueRights
	agents                          []servicenow.Record
	listErr                         error

	// How ecc_queue behaves.
	noOutput, noClaim, noUpdate, noDelete, ignoresClaim bool

	rows   map[string]servicenow.Record
	writes int
}

func healthy() *instance {
	return &instance{
		report: servicenow.TLSReport{Version: "TLS 1.3", Chain: []servicenow.CertReport{{Subject: "CN=x", Issuer: "CN=ca", NotAfter: now().AddDate(1, 0, 0)}}},
		user:   servicenow.User{Name: "svc", Active: true, WebServiceOnly: true, Internal: true, Roles: []string{"mid_server"}},
		rows:   map[string]servicenow.Record{},
	}
}

func (in *instance) Host() string              { return "example.service-now.com" }
func (in *instance) ProxyURL() (string, error) { return "", nil }
func (in *instance) CheckDNS(context.Context) (string, []string, error) {
	return "example.service-now.com", []string{"192.0.2.1"}, in.dns
}

func (in *instance) CheckConnect(context.Context) (time.Duration, error) {
	return time.Millisecond, in.connect
}

func (in *instance) CheckTLS(context.Context) (servicenow.TLSReport, error) { return in.report, in.tls }

func (in *instance) CheckClock(context.Context) (time.Duration, error) { return in.skew, in.clock }

func (in *instance) CheckLogin(context.Context) (servicenow.User, error) { return in.user, in.login }

func (in *instance) CheckQueue(_ context.Context, _ string, write bool) servicenow.QueueRights {
	r := in.rights
	if !write {
		r.Insert = servicenow.ErrNotTried
	} else {
		in.writes++
	}
	return r
}

func (in *instance) List(context.Context, string, servicenow.Query) (servicenow.Page, error) {
	return servicenow.Page{Records: in.agents}, in.listErr
}

func (in *instance) Get(_ context.Context, _, id string, _ ...string) (servicenow.Record, error) {
	return in.rows[id], nil
}

func denied() error {
	return fault.New(fault.Denied, "write", "ecc_queue", servicenow.ErrForbidden).WithHint("ask for the right")
}

func (in *instance) Insert(_ context.Context, _ string, rec servicenow.Record, _ ...string) (servicenow.Record, error) {
	in.writes++
	switch {
	case rec["queue"] == "output" && in.noOutput, rec["topic"] == "queue.processing" && in.noClaim:
		return nil, denied()
	case rec["topic"] == "queue.processing" && !in.ignoresClaim:
		for id, row := range in.rows {
			if strings.Contains(rec["payload"], id) {
				row["state"] = "processing"
			}
		}
	case rec["response_to"] != "":
		in.rows[rec["response_to"]]["state"] = "processed"
	}
	id := strings.Repeat("0", 31) + string(rune('a'+len(in.rows)))
	rec["sys_id"] = id
	in.rows[id] = rec
	return rec, nil
}

func (in *instance) Update(_ context.Context, _, id string, rec servicenow.Record, _ ...string) (servicenow.Record, error) {
	if in.noUpdate {
		return nil, denied()
	}
	in.rows[id]["state"] = rec["state"]
	return in.rows[id], nil
}

func (in *instance) Delete(_ context.Context, _, id string) error {
	if in.noDelete {
		return denied()
	}
	delete(in.rows, id)
	return nil
}

// examine runs the checks of one instance and returns the findings by name.
func examine(t *testing.T, in *instance, change func(*doctor.Options)) map[string]doctor.Finding {
	t.Helper()
	o := doctor.Options{Name: "prod", Agent: "mid.server.edge1", Mode: "native", Claim: "auto", Basic: true, Now: now}
	if change != nil {
		change(&o)
	}
	found := map[string]doctor.Finding{}
	r := doctor.Run(t.Context(), doctor.InstanceChecks(in, o), nil, nil)
	for _, f := range r.Findings {
		found[f.Check] = f
		if f.Why == "" || (f.Result == doctor.Fail || f.Result == doctor.Warn) && f.Remedy == "" {
			t.Errorf("%s: a finding without reason or remedy: %+v", f.Check, f)
		}
	}
	return found
}

func TestAHealthyInstanceIsAllOK(t *testing.T) {
	t.Parallel()
	in := healthy()
	for name, f := range examine(t, in, nil) {
		if f.Result != doctor.OK {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if len(in.rows) != 0 {
		t.Errorf("left behind: %v", in.rows)
	}
}

func TestEachFaultIsNamedByItsOwnCheck(t *testing.T) {
	t.Parallel()
	broken := fault.New(fault.Unavailable, "talk", "there", errors.New("boom")).WithHint("mend it")
	for _, c := range []struct {
		name, check string
		result      doctor.Result
		set         func(*instance)
		why         string
	}{
		{"no dns", "dns", doctor.Fail, func(in *instance) { in.dns = broken }, "boom"},
		{"no connection", "proxy", doctor.Fail, func(in *instance) { in.connect = broken }, "boom"},
		{"no handshake", "tls", doctor.Fail, func(in *instance) { in.tls = broken }, "boom"},
		{"untrusted", "tls", doctor.Fail, func(in *instance) { in.report.Trusted = broken }, "the server showed CN=x"},
		{"certificate ends soon", "tls", doctor.Warn, func(in *instance) { in.report.Chain[0].NotAfter = now().AddDate(0, 0, 5) }, "5 days from now"},
		{"clock a bit off", "clock", doctor.Warn, func(in *instance) { in.skew = -time.Minute }, "1m0s"},
		{"clock far off", "clock", doctor.Fail, func(in *instance) { in.skew = time.Hour }, "1h0m0s"},
		{"login refused", "login", doctor.Fail, func(in *instance) { in.login = broken }, "boom"},
		{"own record hidden", "login", doctor.Warn, func(in *instance) { in.login = denied() }, "not allowed"},
		{"locked out", "user-type", doctor.Fail, func(in *instance) { in.user.LockedOut = true }, "locked out"},
		{"interactive user", "user-type", doctor.Warn, func(in *instance) { in.user.WebServiceOnly = false }, "Basic"},
		{"admin", "roles", doctor.Warn, func(in *instance) { in.user.Roles = []string{"admin"} }, "far more"},
		{"no mid_server", "roles", doctor.Warn, func(in *instance) { in.user.Roles = []string{"itil"} }, "mid_server"},
		{"no read", "ecc-read", doctor.Fail, func(in *instance) { in.rights.Read = denied() }, "not allowed"},
		{"no insert", "ecc-insert", doctor.Fail, func(in *instance) { in.rights.Insert = denied() }, "not allowed"},
		{"no output", "claim", doctor.Warn, func(in *instance) { in.noOutput = true }, "could not be tried"},
		{"no claim at all", "claim", doctor.Fail, func(in *instance) { in.ignoresClaim, in.noUpdate = true, true }, "neither way"},
		{"claim by update", "claim", doctor.OK, func(in *instance) { in.ignoresClaim = true }, "by updating"},
		{"probe stays", "claim", doctor.OK, func(in *instance) { in.noDelete, in.noUpdate = true, true }, "stays as processed"},
		{"a twin", "duplicate-name", doctor.Fail, func(in *instance) {
			in.agents = []servicenow.Record{{"name": "edge1", "status": "Up", "host_name": "other"}}
		}, "up on other"},
		{"agents hidden", "duplicate-name", doctor.Skip, func(in *instance) { in.listErr = denied() }, "cannot be read"},
	} {
		in := healthy()
		c.set(in)
		found := examine(t, in, nil)
		if f := found[c.check]; f.Result != c.result || !strings.Contains(f.Why, c.why) {
			t.Errorf("%s: %+v", c.name, f)
		}
		for name, f := range found {
			if name != c.check && (f.Result == doctor.Fail || f.Result == doctor.Warn) {
				t.Errorf("%s is blamed on %s too: %+v", c.name, name, f)
			}
		}
	}
}

func TestAConfiguredClaimIsComparedWithWhatWorks(t *testing.T) {
	t.Parallel()
	in := healthy()
	in.ignoresClaim = true
	if f := examine(t, in, func(o *doctor.Options) { o.Claim = "insert" })["claim"]; f.Result != doctor.Fail {
		t.Errorf("insert wanted, update works: %+v", f)
	}
	if f := examine(t, healthy(), func(o *doctor.Options) { o.Claim = "update" })["claim"]; f.Result != doctor.Warn {
		t.Errorf("update wanted, insert works: %+v", f)
	}
}

func TestNothingIsWrittenWithNoWrite(t *testing.T) {
	t.Parallel()
	in := healthy()
	found := examine(t, in, func(o *doctor.Options) { o.NoWrite = true })
	if in.writes != 0 {
		t.Errorf("%d writes", in.writes)
	}
	if found["claim"].Result != doctor.Skip || found["ecc-insert"].Result != doctor.Skip || found["ecc-read"].Result != doctor.OK {
		t.Errorf("%+v", found)
	}
}

func TestAnUpAgentOfThisNameIsItselfWhereItRegisters(t *testing.T) {
	t.Parallel()
	in := healthy()
	in.agents = []servicenow.Record{{"name": "edge1", "status": "Up", "host_name": "here"}}
	if f := examine(t, in, func(o *doctor.Options) { o.Mode, o.Running = "mid", true })["duplicate-name"]; f.Result != doctor.OK {
		t.Errorf("%+v", f)
	}
}

func TestOneFailureIsNotRepeated(t *testing.T) {
	t.Parallel()
	boom := doctor.Answer{Result: doctor.Fail, Why: "boom s3cret", Remedy: "mend s3cret"}
	checks := []doctor.Check{
		{Name: "a", Run: func(context.Context) doctor.Answer { return boom }},
		{Name: "b", Needs: []string{"a"}, Run: func(context.Context) doctor.Answer { panic("not reached") }},
		{Name: "c", Needs: []string{"b"}, Run: func(context.Context) doctor.Answer { panic("not reached") }},
		{Name: "d", Run: func(context.Context) doctor.Answer { panic("a defect") }},
	}
	var seen []string
	hide := func(s string) string { return strings.ReplaceAll(s, "s3cret", "***") }
	r := doctor.Run(t.Context(), checks, hide, func(f doctor.Finding) { seen = append(seen, f.Check+" "+string(f.Result)+" "+f.Why) })
	want := []string{"a fail boom ***", "b skip it needs a", "c skip it needs b", "d fail the check ran into a defect: a defect"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if r.Fail != 2 || r.Skip != 2 || r.OK != 0 || r.Findings[0].Remedy != "mend ***" {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := doctor.Run(ctx, checks, nil, nil); r.Skip != 4 {
		t.Errorf("after the end: %+v", r)
	}
}

func TestThisMachine(t *testing.T) {
	t.Parallel()
	noAgent := func(context.Context) (control.Status, error) {
		return control.Status{}, fault.New(fault.Unavailable, "talk", "x", nil)
	}
	status := func(s control.Status, err error) func(context.Context) (control.Status, error) {
		return func(context.Context) (control.Status, error) { return s, err }
	}
	dir := t.TempDir()
	private, file := filepath.Join(dir, "private"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(private, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	twin := control.Status{Instances: []control.Instance{{Agent: "mid.server.edge1", Twin: "other host"}}}
	for _, c := range []struct {
		name, check string
		local       doctor.Local
		want        doctor.Result
	}{
		{"private folder", "state-folder", doctor.Local{StateDir: private}, doctor.OK},
		{"missing folder", "state-folder", doctor.Local{StateDir: filepath.Join(dir, "none")}, doctor.Warn},
		{"a file", "state-folder", doctor.Local{StateDir: file}, doctor.Fail},
		{"room", "disk", doctor.Local{StateDir: filepath.Join(dir, "none", "deeper"), Reserve: 1}, doctor.OK},
		{"little room", "disk", doctor.Local{StateDir: dir, Reserve: 100, Free: func(string) (int64, error) { return 200, nil }}, doctor.Warn},
		{"no room", "disk", doctor.Local{StateDir: dir, Reserve: 100, Free: func(string) (int64, error) { return 99, nil }}, doctor.Fail},
		{"no agent", "agent", doctor.Local{StateDir: private}, doctor.Skip},
		{"agent", "agent", doctor.Local{StateDir: private, Status: status(control.Status{Name: "edge1"}, nil)}, doctor.OK},
		{"sick agent", "agent", doctor.Local{StateDir: private, Status: status(control.Status{Problems: []string{"x"}}, nil)}, doctor.Warn},
		{"twin", "agent", doctor.Local{StateDir: private, Status: status(twin, nil)}, doctor.Fail},
		{"not allowed to ask", "agent", doctor.Local{StateDir: private, Status: status(control.Status{}, denied())}, doctor.Fail},
	} {
		if c.local.Status == nil {
			c.local.Status = noAgent
		}
		for _, f := range doctor.Run(t.Context(), doctor.LocalChecks(c.local), nil, nil).Findings {
			if f.Check == c.check && f.Result != c.want {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
	}
	if left, _ := os.ReadDir(private); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAStateFolderOpenToOthersFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "open")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if filepath.Separator != '/' {
		return // modes are a matter of Unix
	}
	l := doctor.Local{StateDir: dir, Status: func(context.Context) (control.Status, error) { return control.Status{}, denied() }}
	if f := doctor.Run(t.Context(), doctor.LocalChecks(l), nil, nil).Findings[0]; f.Result != doctor.Fail || !strings.Contains(f.Remedy, "chmod") {
		t.Errorf("%+v", f)
	}
}
