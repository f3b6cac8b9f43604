package runner_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

func TestRunDeliversExitCodeAndBothStreams(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		p := startRunner(t, t.TempDir(), args...)
		r := mustRun(t, p.client, sh("a", "echo out; echo err >&2; exit 3"))
		if r.ExitCode != 3 || r.Cause != runner.ByItself || text(t, &r.Stdout) != "out\n" || text(t, &r.Stderr) != "err\n" {
			t.Fatalf("result %+v", r)
		}
		if r.Stdout.Truncated() || r.Ended.Before(r.Started) || r.MaxRSS == 0 {
			t.Errorf("result %+v", r)
		}
		// The same attempt is never started twice: the answer is the first's end.
		st, started, err := p.client.Start(t.Context(), sh("a", "echo again"))
		if err != nil || started || st.State != runner.Exited {
			t.Errorf("second start: %+v %v %v", st, started, err)
		}
	})
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	args := []string{"%s\n", "a b", "$(id)", "`id`", "'", `"`, "*", "", "ü\x01", "-n"}
	r := mustRun(t, p.client, &runner.Spec{Job: "a", Attempt: 1, Program: "printf", Args: args})
	if got, want := text(t, &r.Stdout), strings.Join(args[1:], "\n")+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SALLYPORT_PASSWORD", "secret")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("PATH", "/nowhere:"+os.Getenv("PATH"))
	p := startRunner(t, t.TempDir())
	s := &runner.Spec{Job: "a", Attempt: 1, Program: "env", Env: []string{"X=1"}}
	env := text(t, &mustRun(t, p.client, s).Stdout)
	for _, bad := range []string{"secret", "nowhere", "\nGO"} {
		if strings.Contains("\n"+env, bad) {
			t.Errorf("%q in the environment:\n%s", bad, env)
		}
	}
	for _, want := range []string{"X=1\n", "LANG=de_DE.UTF-8\n", "PATH=" + runner.DefaultPath() + "\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %q in the environment:\n%s", want, env)
		}
	}
}

func TestInputFolderAndMask(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	dir := t.TempDir()
	s := sh("a", "cat; pwd; umask; > made; stat -c %a made")
	s.Dir, s.Stdin = dir, []byte("in\n")
	r := mustRun(t, p.client, s)
	if got, want := text(t, &r.Stdout), "in\n"+dir+"\n0077\n600\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := mustRun(t, p.client, sh("b", "cat")); r.Stdout.Kept != 0 {
		t.Error("a job without input has some")
	}
	big := sh("c", "exec true") // never reads
	big.Stdin = make([]byte, 1<<20)
	if r := mustRun(t, p.client, big); r.ExitCode != 0 {
		t.Errorf("unread input: %+v", r)
	}
}

func TestWhatCannotBeStartedSaysWhy(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("#!/bin/sh\necho tool $0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		program string
		want    runner.StartFailure
	}{
		"absent":         {"/no/such", runner.NotFound},
		"not in path":    {"no-such-program", runner.NotFound},
		"not here":       {"tool", runner.NotFound}, // the working directory is no PATH
		"out of folder":  {"../tool", runner.NotFound},
		"not executable": {plain, runner.Permission},
		"a folder":       {"/tmp", runner.Permission},
	} {
		r := mustRun(t, p.client, &runner.Spec{Job: name, Attempt: 1, Program: c.program, Dir: dir})
		if r.Cause != runner.NotStarted || r.StartFailure != c.want || r.StartError == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := mustRun(t, p.client, &runner.Spec{Job: "below", Attempt: 1, Program: "./tool", Dir: dir}); r.ExitCode != 0 {
		t.Errorf("below the folder: %+v", r)
	}
	for _, s := range []*runner.Spec{
		{Attempt: 1, Program: "x"},
		{Job: "x", Program: "x"},
		{Job: "x", Attempt: 1},
		{Job: "x", Attempt: 1, Program: "x", Shell: "y"},
		{Job: "x", Attempt: 1, Program: "a\x00b"},
		{Job: "x", Attempt: 1, Program: "a", Dir: "relative"},
		{Job: "x", Attempt: 1, Program: "a", Env: []string{"nothing"}},
	} {
		if _, err := p.client.Run(t.Context(), s); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestOutputIsBoundAndDrained(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	s := sh("big", "head -c 104857600 /dev/zero; head -c 70000 /dev/zero | tr '\\0' e >&2; exit 7")
	s.Output = 1 << 20
	r := mustRun(t, p.client, s)
	if r.ExitCode != 7 || r.Stdout.Kept != 1<<20 || r.Stdout.Dropped != 99<<20 || r.Stdout.Cut != runner.CutBound {
		t.Errorf("result %+v", r)
	}
	if got := text(t, &r.Stdout); len(got) != 1<<20 {
		t.Errorf("%d bytes", len(got))
	}
	if got := text(t, &r.Stderr); got != strings.Repeat("e", 70000) {
		t.Errorf("%d bytes of stderr", len(got))
	}
}

// A disk that takes no output changes nothing for the job but its output.
func TestDiskThatTakesNoOutput(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	if err := os.Mkdir(filepath.Join(p.dir, "jobs", "ja@1.out"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, p.client, sh("a", "seq 100000; echo fine >&2; exit 3"))
	if r.ExitCode != 3 || r.Stdout.Cut != runner.CutDisk || r.Stdout.Dropped != 588895 || text(t, &r.Stderr) != "fine\n" {
		t.Errorf("%+v", r)
	}
}

// A record that cannot be made durable means that nothing was started.
func TestDiskThatTakesNoRecord(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	work := t.TempDir()
	jobs := filepath.Join(p.dir, "jobs")
	if err := os.Rename(jobs, jobs+".away"); err != nil {
		t.Fatal(err)
	}
	s := sh("a", "echo 1 >> effects")
	s.Dir = work
	if _, err := p.client.Run(t.Context(), s); fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if err := os.Rename(jobs+".away", jobs); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p.client, s)
	if b, err := os.ReadFile(filepath.Join(work, "effects")); err != nil || string(b) != "1\n" {
		t.Errorf("effects %q %v", b, err)
	}
}

func TestClosedOutputAndBytesOfAnyKind(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	r := mustRun(t, p.client, sh("a", `printf 'a\000\377\033[31m\r\n'; exec >&- 2>&-; exit 4`))
	if got := text(t, &r.Stdout); got != "a\x00\xff\x1b[31m\r\n" || r.ExitCode != 4 {
		t.Errorf("got %q, %+v", got, r)
	}
}

func TestForgetFreesAndSweepRemoves(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir(), "--keep", "50ms")
	mustRun(t, p.client, sh("a", "echo x"))
	jobs := filepath.Join(p.dir, "jobs")
	if list, _ := os.ReadDir(jobs); len(list) != 2 {
		t.Fatalf("%d files", len(list))
	}
	if err := p.client.Forget(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := p.client.Forget(t.Context(), "never seen"); err != nil {
		t.Error(err)
	}
	st, started, err := p.client.Start(t.Context(), sh("a", "echo again"))
	if err != nil || started || st.State != runner.Forgotten {
		t.Errorf("start after forget: %+v %v %v", st, started, err)
	}
	waitFor(t, func() bool {
		_, started, err := p.client.Start(t.Context(), sh("a", "echo again"))
		return err == nil && started // the mark is gone
	})
	if st, err := p.client.Wait(t.Context(), "a"); err != nil || text(t, &st.Result.Stdout) != "again\n" {
		t.Errorf("%+v %v", st, err)
	}
	// A record that was used again says nothing of its first job.
	p.kill()
	p = startRunner(t, p.dir)
	if list, err := p.client.List(t.Context()); err != nil || len(list) != 1 || list[0].Result.ExitCode != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if list, _ := os.ReadDir(jobs); len(list) != 2 {
		t.Errorf("%d files", len(list))
	}
}

// waitFor polls for what no signal tells: the end of a foreign process.
func waitFor(tb testing.TB, f func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-late:
			tb.Fatal("it does not happen")
		}
	}
}

func TestTheClientsDefaultsStandForWhatASpecLeavesOut(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	c := runner.NewClient(runner.ClientOptions{Dir: p.dir, Output: 1000, Grace: time.Second})
	t.Cleanup(func() { _ = c.Close() })
	for output, want := range map[int64]int64{0: 1000, 2000: 2000} {
		st, err := c.Run(t.Context(), &runner.Spec{
			Job: "defaults " + strconv.FormatInt(output, 10), Attempt: 1, Output: output, Shell: "head -c 5000 /dev/zero",
		})
		if err != nil || st.Result == nil || st.Result.Stdout.Kept != want {
			t.Errorf("%+v, %v; want %d bytes kept", st.Result, err, want)
		}
	}
	if c.Grace() != time.Second {
		t.Errorf("grace %v", c.Grace())
	}
}
