package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/kardianos/service"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/control/controltest"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func TestExitCodesAreStable(t *testing.T) {
	t.Parallel()
	in := func(kind fault.Kind, err error) error { return fault.New(kind, "do", "it", err) }
	for want, errs := range map[int][]error{
		1:   {errors.New("odd"), in(fault.Internal, nil)},
		2:   {in(fault.Invalid, nil), usage("do", "it", "so")},
		3:   {configError(in(fault.Invalid, nil)), in(fault.Invalid, config.Problems{{Message: "x"}})},
		4:   {in(fault.Denied, nil), configError(in(fault.Denied, nil))},
		5:   {in(fault.Unavailable, nil), in(fault.Timeout, nil), in(fault.Unknown, nil)},
		6:   {in(fault.Conflict, queue.ErrLocked)},
		7:   {in(fault.Internal, queue.ErrBroken), in(fault.Conflict, queue.ErrNewer)},
		8:   {&grade{code: codeUnhealthy}},
		9:   {in(fault.Conflict, nil), in(fault.Invalid, queue.ErrNotFound)},
		130: {in(fault.Canceled, nil)},
	} {
		for _, err := range errs {
			if got := codeOf(err); got != want {
				t.Errorf("%v gives %d, want %d", err, got, want)
			}
		}
	}
}

func TestWhatReachesATerminalIsHarmless(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain ä 漢":                "plain ä 漢",
		"\x1b]0;title\x07":         `\x1b]0;title\a`,
		"a\nb\tc":                  `a\nb\tc`,
		"\u202egnp.exe":            `\u202egnp.exe`,
		"bad \xff byte":            `bad \xff byte`,
		"\u009b31m c1":             `\u009b31m c1`,
		"quote ' and \\ backslash": `quote ' and \ backslash`,
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := cleanLines("a\n\tb\r\x1b"); got != "a\n\tb\\r\\x1b" {
		t.Errorf("lines become %q", got)
	}
}

func TestTheScreenIsNoWiderThan80Columns(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Wort", 60)
	a := &app{now: time.Now, getenv: func(string) string { return "" }}
	s := controltest.Sample(time.Now()).State
	s.Name, s.Problems, s.Instances[0].Error, s.Instances[0].Hint = long, []string{long + " " + long}, long, long
	s.Running[0].Name, s.Waiting[0].Why, s.Disk.Path, s.Mode.Note = long, long, long, long
	var out bytes.Buffer
	if err := a.showStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(line)) - 1; n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestEmptyListsAreNeverNull(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{out: &out}
	if err := a.writeJSON(control.Status{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "null") {
		t.Errorf("%s", out.String())
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*control.Status){
		"problem": func(s *control.Status) { s.Problems = []string{"x"} },
		"link":    func(s *control.Status) { s.Instances[0].Link = "never" },
		"blocked": func(s *control.Status) { s.Instances[0].Blocked = "x" },
		"twin":    func(s *control.Status) { s.Instances[0].Twin = "x" },
		"disk":    func(s *control.Status) { s.Disk.Error = "full" },
		"runner":  func(s *control.Status) { s.Runner.Error = "gone" },
		"broken":  func(s *control.Status) { s.Jobs.Quarantined = 1 },
	} {
		s := controltest.Sample(time.Now()).State
		if list := ailments(s); len(list) != 0 {
			t.Fatalf("healthy, but %q", list)
		}
		change(&s)
		if len(ailments(s)) != 1 {
			t.Errorf("%s is not seen", name)
		}
	}
	paused := controltest.Sample(time.Now()).State
	paused.Mode.State = "paused"
	if list := ailments(paused); len(list) != 0 {
		t.Errorf("a pause is no ailment: %q", list)
	}
}

// screens ends a watch after so many writes.
type screens struct {
	n    int
	stop func()
	strings.Builder
}

func (s *screens) Write(p []byte) (int, error) {
	if strings.HasPrefix(string(p), "policy") {
		if s.n--; s.n == 0 {
			s.stop()
		}
	}
	return s.Builder.Write(p)
}

func TestWatchShowsTheStatusUntilInterrupted(t *testing.T) {
	t.Parallel()
	path := control.Path(t.TempDir())
	serving, end := context.WithCancel(t.Context())
	ready, served := make(chan struct{}), make(chan error, 1)
	go func() {
		served <- control.Serve(serving, control.Options{Path: path, Agent: controltest.Sample(time.Now()), Ready: func() { close(ready) }})
	}()
	<-ready
	ctx, stop := context.WithCancel(t.Context())
	out := &screens{n: 2, stop: stop}
	a := &app{out: out, err: io.Discard, now: time.Now, getenv: func(string) string { return "" }}
	if code := a.execute(ctx, []string{"status", "--watch", "--every", "200ms", "--control", path}); code != codeOK {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(out.String(), "agent     edge1"); n != 2 {
		t.Errorf("%d screens", n)
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAnInterruptHasItsOwnExitCode(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var stderr bytes.Buffer
	a := &app{out: io.Discard, err: &stderr, now: time.Now, getenv: func(string) string { return "" }}
	if code := a.execute(ctx, []string{"status", "--control", control.Path(t.TempDir()), "--output", "json"}); code != codeInterrupted {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	var f failure
	if err := json.Unmarshal(stderr.Bytes(), &f); err != nil || f.Code != codeInterrupted || f.Kind != "canceled" {
		t.Errorf("%s: %v", stderr.String(), err)
	}
}

// manager is a service manager that answers as it is told.
type manager struct {
	service.Service
	state service.Status
	err   error
	did   []string
}

func (m *manager) Platform() string                { return "test" }
func (m *manager) Status() (service.Status, error) { return m.state, m.err }
func (m *manager) Stop() error                     { m.did = append(m.did, "stop"); return nil }
func (m *manager) Uninstall() error                { m.did = append(m.did, "uninstall"); return nil }

func TestStateOfTheService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    manager
		want string
		code int
	}{
		{manager{state: service.StatusRunning}, "running", codeOK},
		{manager{state: service.StatusStopped}, "stopped", codeUnhealthy},
		{manager{err: service.ErrNotInstalled}, "not installed", codeUnhealthy},
		{manager{err: errors.New("service in failed state")}, "failed", codeUnhealthy},
		{manager{err: errors.New("no bus")}, "", codeUnavailable},
	} {
		s, err := stateOf(&c.m, agentService)
		code := codeOK
		if err != nil {
			code = codeOf(err)
		}
		if administrator() && (s.State != c.want || code != c.code) {
			t.Errorf("%+v: %q, exit code %d", c.m, s.State, code)
		}
	}
}

func TestUninstallStopsFirst(t *testing.T) {
	t.Parallel()
	m := &manager{state: service.StatusRunning}
	if err := steer(m, "uninstall"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"stop", "uninstall"}, m.did); diff != "" {
		t.Error(diff)
	}
}

func TestAServiceStartsWithTheWholePathOfItsConfiguration(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("site.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		goos     string
		ofRunner bool
		name     string
		user     string
		args     []string
	}{
		{"linux", false, "sallyport", "sallyport", []string{"run", "--config", file}},
		{"linux", true, "sallyport-runner", "sallyport", []string{"runner", "--config", file}},
		{"windows", false, "sallyport", "", []string{"svcrun", "run", "--config", file}},
	} {
		got, err := serviceConfig(c.goos, c.ofRunner, "", "site.toml")
		if err != nil || got.Name != c.name || got.UserName != c.user || !slices.Equal(got.Arguments, c.args) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

func TestAServiceIsNotInstalledForAnAccountThatDoesNotExist(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // elsewhere the service manager knows the accounts
	}
	a := &app{getenv: func(string) string { return "" }}
	if err := a.readyToInstall("no-such-account-here"); fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.HintOf(err), "useradd") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

// The service manager ignores what it does not know, so that a mistake in the
// unit would never show.
func TestTheUnitHasOnlyKnownKeys(t *testing.T) {
	t.Parallel()
	known := strings.Fields("Description Wants After Type ExecStart User StateDirectory StateDirectoryMode RuntimeDirectory RuntimeDirectoryMode " +
		"RuntimeDirectoryPreserve UMask Restart RestartSec RestartPreventExitStatus KillMode TimeoutStopSec LimitNOFILE WantedBy")
	for line := range strings.Lines(unit) {
		line = strings.TrimSpace(line)
		for strings.HasPrefix(line, "{{") { // of the template
			_, line, _ = strings.Cut(line, "}}")
		}
		key, value, _ := strings.Cut(line, "=")
		if line != "" && !strings.HasPrefix(line, "[") && (!slices.Contains(known, key) || value == "") {
			t.Errorf("%q", line)
		}
	}
}

func TestAReasonOfSeveralLinesStaysReadable(t *testing.T) {
	t.Parallel()
	a := &app{now: time.Now, getenv: func(string) string { return "" }}
	d := controltest.Sample(time.Now()).Details[3]
	d.Why = "no rule allows it:\n[[policy.rule]]\n\x1b[2J\n"
	var list, one bytes.Buffer
	if err := errors.Join(a.showJobs(&list, []control.Job{d.Job}), a.showJob(&one, d)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(list.String(), "\n"); n != 2 || strings.Contains(list.String(), "policy.rule") {
		t.Errorf("%d lines: %s", n, list.String())
	}
	if text := one.String(); !strings.Contains(text, "  [[policy.rule]]\n") || !strings.Contains(text, `\x1b[2J`) {
		t.Errorf("%s", text)
	}
}
