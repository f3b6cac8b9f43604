package runner_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// TestMain makes the test binary a runner, or the child of one, when it is
// started as such.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "serve":
			o := runner.Options{Dir: os.Args[2], Version: "test", Ready: func() { fmt.Fprintln(os.Stdout, "ready") }}
			if err := runner.Serve(context.Background(), o); err != nil {
				fmt.Fprintln(os.Stdout, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "child":
			child(os.Args[2:])
		}
	}
	os.Exit(m.Run())
}

// child is what the tests let run.
func child(args []string) {
	switch args[0] {
	case "args":
		fmt.Fprintf(os.Stdout, "%q", args[1:])
	case "exit":
		fmt.Fprint(os.Stderr, "to stderr")
		os.Exit(7)
	case "copy":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "env":
		fmt.Fprint(os.Stdout, strings.Join(os.Environ(), "\n"))
	case "tree":
		// A grandchild that outlives its parent where nobody ends it. What it holds
		// open tells when it is gone.
		if len(args) == 3 {
			f, err := os.Create(args[1])
			if err != nil {
				os.Exit(1)
			}
			fmt.Fprint(f, "held")
		} else {
			c := exec.Command(os.Args[0], "child", "tree", args[1], "leaf")
			if c.Start() != nil {
				os.Exit(1)
			}
		}
		<-time.After(time.Hour) // until it is killed
	}
	os.Exit(0)
}

type process struct {
	cmd    *exec.Cmd
	client *runner.Client
}

func startRunner(t *testing.T, dir string) *process {
	t.Helper()
	p := &process{client: runner.NewClient(runner.ClientOptions{Dir: dir, Version: "test"})}
	p.cmd = exec.Command(os.Args[0], "serve", dir)
	p.cmd.Env = append(os.Environ(), "LEAK=secret")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("runner does not start: %q %v", line, err)
	}
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		takeFirst(t, dir)
	}
	return p
}

// takeFirst uses up the instance of a pipe that go-winio keeps so that the name
// is its own. Windows lets nobody connect to it, because it was opened with no
// right to read or write; Wine does.
func takeFirst(t *testing.T, dir string) {
	t.Helper()
	conn, err := winio.DialPipe(runner.PipeName(dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}

func (p *process) kill() {
	_ = p.client.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func spec(job string, args ...string) *runner.Spec {
	return &runner.Spec{
		Job: job, Attempt: 1, Program: os.Args[0], Args: append([]string{"child"}, args...),
		Timeout: time.Minute, Grace: time.Millisecond,
	}
}

func run(t *testing.T, c *runner.Client, s *runner.Spec) (*runner.Result, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	st, err := c.Run(ctx, s)
	if err != nil || st.State != runner.Exited {
		t.Fatalf("%+v %v", st, err)
	}
	r, err := st.Result.Stdout.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return st.Result, string(body)
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	want := []string{"", "a b", `c"d`, `e\`, `f g\`, `\"h\\"`, "%PATH%", "&whoami", "é\u2028"}
	r, out := run(t, p.client, spec("a", append([]string{"args"}, want...)...))
	if r.ExitCode != 0 || out != fmt.Sprintf("%q", want) {
		t.Errorf("%+v %s", r, out)
	}
}

func TestExitCodeInputOutputAndEnvironment(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	if r, _ := run(t, p.client, spec("code", "exit")); r.ExitCode != 7 || r.Stderr.Kept != int64(len("to stderr")) || r.Cause != runner.ByItself {
		t.Errorf("%+v", r)
	}
	s := spec("large", "copy")
	s.Stdin = []byte(strings.Repeat("0123456789abcdef", 1<<16))
	if r, out := run(t, p.client, s); out != string(s.Stdin) {
		t.Errorf("%d bytes: %+v", len(out), r)
	}
	s = spec("bounded", "copy")
	s.Stdin, s.Output = []byte(strings.Repeat("x", 1<<20)), 1000
	if r, out := run(t, p.client, s); len(out) != 1000 || r.Stdout.Cut != runner.CutBound || r.Stdout.Dropped != 1<<20-1000 {
		t.Errorf("%d bytes: %+v", len(out), r)
	}
	s = spec("env", "env")
	s.Env = []string{"MINE=1"}
	_, out := run(t, p.client, s)
	lines := strings.Split(out, "\n")
	if strings.Contains(out, "LEAK=") || !slices.Contains(lines, "MINE=1") {
		t.Errorf("environment %q", lines)
	}
	s = &runner.Spec{Job: "shell", Attempt: 1, Shell: "echo one& exit 3"}
	if r, out := run(t, p.client, s); r.ExitCode != 3 || strings.TrimSpace(out) != "one" {
		t.Errorf("%+v %q", r, out)
	}
	s = &runner.Spec{Job: "none", Attempt: 1, Program: `C:\no\such.exe`}
	if r, _ := run(t, p.client, s); r.Cause != runner.NotStarted || r.StartFailure != runner.NotFound {
		t.Errorf("%+v", r)
	}
}

// gone reports that nobody holds a file open: it can be removed.
func gone(t *testing.T, file string) {
	t.Helper()
	waitFor(t, func() bool { return os.Remove(file) == nil })
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-end:
			t.Fatal("it does not happen")
		case <-tick.C:
		}
	}
}

// held waits until a tree of processes is complete.
func held(t *testing.T, file string) {
	t.Helper()
	waitFor(t, func() bool { b, err := os.ReadFile(file); return err == nil && string(b) == "held" })
	if os.Remove(file) == nil {
		t.Fatal("an open file can be removed, so it does not tell who lives")
	}
}

func TestTimeoutAndCancelEndTheWholeTree(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "held")
	s := spec("cancel", "tree", file)
	if _, _, err := p.client.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	held(t, file)
	if err := p.client.Cancel(t.Context(), s.Job, 0); err != nil {
		t.Fatal(err)
	}
	if r, _ := run(t, p.client, s); !r.Canceled() {
		t.Errorf("%+v", r)
	}
	gone(t, file)
	s = spec("timeout", "tree", file)
	s.Timeout = 3 * time.Second
	if _, _, err := p.client.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	held(t, file)
	if r, _ := run(t, p.client, s); !r.TimedOut() {
		t.Errorf("%+v", r)
	}
	gone(t, file)
}

func TestAKilledRunnerEndsItsJobsAndKeepsTheEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startRunner(t, dir)
	run(t, p.client, spec("forgotten", "args"))
	p.client.ForgetLater("forgotten")
	run(t, p.client, spec("ended", "args", "x"))
	file := filepath.Join(t.TempDir(), "held")
	running := spec("running", "tree", file)
	if _, _, err := p.client.Start(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	held(t, file)
	p.kill()
	gone(t, file)

	p = startRunner(t, dir)
	for job, want := range map[string]runner.State{"ended": runner.Exited, "running": runner.Lost, "never": runner.Fenced, "forgotten": runner.Fenced} {
		if st, err := p.client.Lookup(t.Context(), job, 1); err != nil || st.State != want {
			t.Errorf("%s: %+v %v, want %s", job, st, err, want)
		}
	}
	if _, out := run(t, p.client, spec("ended", "args", "x")); out != `["x"]` {
		t.Errorf("output %q", out)
	}
	if _, err := p.client.Run(t.Context(), spec("never", "args")); fault.KindOf(err) != fault.Conflict {
		t.Errorf("start after the fence: %v", err)
	}
}

func TestOneRunnerAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startRunner(t, dir)
	out, err := exec.Command(os.Args[0], "serve", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another runner") {
		t.Errorf("%v: %s", err, out)
	}
}
