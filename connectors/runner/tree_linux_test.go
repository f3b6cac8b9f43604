package runner_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// alive reports whether a process that wrote its pid to a file still has effects.
func alive(tb testing.TB, pidFile string) bool {
	tb.Helper()
	b, err := os.ReadFile(pidFile)
	if err != nil {
		tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		tb.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	return !strings.Contains(string(stat), ") Z ")
}

// forest is a shell text whose processes stay by every means: one that left the
// session by a double fork, one with an empty environment, all deaf to SIGTERM.
const forest = `trap '' TERM
setsid sh -c 'trap "" TERM; (sh -c "trap \"\" TERM; echo \$\$ > daemon; exec sleep 600" >/dev/null 2>&1 </dev/null &)' &
env -i sh -c 'trap "" TERM; echo $$ > bare; exec sleep 601' &
sh -c 'echo $$ > plain; exec sleep 602' &
while [ ! -s daemon ] || [ ! -s bare ] || [ ! -s plain ]; do sleep 0.01; done
echo up
`

func planted(dir string) []string {
	return []string{filepath.Join(dir, "daemon"), filepath.Join(dir, "bare"), filepath.Join(dir, "plain")}
}

func noneAlive(t *testing.T, dir string) {
	t.Helper()
	for _, f := range planted(dir) {
		if alive(t, f) {
			t.Errorf("%s is still alive", filepath.Base(f))
		}
	}
}

func TestTimeoutKillsTheWholeTree(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		p := startRunner(t, t.TempDir(), args...)
		s := sh("a", forest+"wait; sleep 600")
		s.Dir, s.Timeout, s.Grace = t.TempDir(), 500*time.Millisecond, 50*time.Millisecond
		r := mustRun(t, p.client, s)
		if !r.TimedOut() || r.Signal != "killed" || text(t, &r.Stdout) != "up\n" {
			t.Errorf("result %+v", r)
		}
		noneAlive(t, s.Dir)
	})
}

func TestLeftoversEndWithTheirJob(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		p := startRunner(t, t.TempDir(), args...)
		s := sh("a", forest+"exit 5") // two of them hold the output open
		s.Dir, s.Linger = t.TempDir(), 100*time.Millisecond
		r := mustRun(t, p.client, s)
		if r.ExitCode != 5 || r.Cause != runner.ByItself || !r.Leftovers || text(t, &r.Stdout) != "up\n" {
			t.Errorf("result %+v", r)
		}
		noneAlive(t, s.Dir)
		if r := mustRun(t, p.client, sh("b", "true")); r.Leftovers {
			t.Errorf("result %+v", r)
		}
	})
}

func TestCancelAsksFirst(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		p := startRunner(t, t.TempDir(), args...)
		s := sh("a", "trap 'echo bye; exit 9' TERM; echo up > up; while :; do sleep 0.01; done")
		s.Dir = t.TempDir()
		if _, started, err := p.client.Start(t.Context(), s); err != nil || !started {
			t.Fatal(started, err)
		}
		waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.Dir, "up")); return err == nil })
		if err := p.client.Cancel(t.Context(), "a", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		st, err := p.client.Wait(t.Context(), "a")
		if err != nil || !st.Result.Canceled() || st.Result.ExitCode != 9 || text(t, &st.Result.Stdout) != "bye\n" {
			t.Errorf("%+v %+v %v", st, st.Result, err)
		}
	})
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		p := startRunner(t, t.TempDir(), args...)
		s := sh("memory", "exec head -c 1000000000 /dev/zero | tail -c 900000000 | wc -c") // tail holds it all
		s.Memory = 64 << 20
		r := mustRun(t, p.client, s)
		if got := strings.TrimSpace(text(t, &r.Stdout)); got == "900000000" {
			t.Errorf("900 MB held within 64 MiB: %+v", r)
		}
		s = sh("cpu", "while :; do :; done")
		s.CPU, s.Timeout = 0.5, 2*time.Second
		if r = mustRun(t, p.client, s); r.CPU > 1500*time.Millisecond || r.ExitCode == 0 {
			t.Errorf("half a core for two seconds: %+v", r)
		}
		s = sh("fine", "echo ok")
		s.Memory, s.CPU = 1<<30, 1
		if r = mustRun(t, p.client, s); text(t, &r.Stdout) != "ok\n" {
			t.Errorf("within limits: %+v", r)
		}
	})
}

func TestRunAsAnotherAccount(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to change the account")
	}
	p := startRunner(t, t.TempDir())
	s := sh("a", "id -un; id -G; grep NoNewPrivs /proc/self/status")
	s.Account, s.Dir = "nobody", "/"
	r := mustRun(t, p.client, s)
	if got := text(t, &r.Stdout); got != "nobody\n65534\nNoNewPrivs:\t1\n" {
		t.Errorf("got %q, %+v %s", got, r, text(t, &r.Stderr))
	}
	s = sh("b", "id")
	s.Account = "no-such-account"
	if r := mustRun(t, p.client, s); r.StartFailure != runner.Refused {
		t.Errorf("result %+v", r)
	}
}

// A client that dies, or an agent that is killed in the middle of a job, changes
// nothing: another takes the whole output.
func TestReattachDeliversTheWholeOutput(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		p := startRunner(t, t.TempDir(), args...)
		s := sh("a", "seq 1 200000; touch up; while [ ! -e go ]; do sleep 0.01; done; seq 200001 400000; exit 6")
		s.Dir = t.TempDir()
		ctx, cut := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { _, err := p.client.Run(ctx, s); first <- err }()
		waitFor(t, func() bool { _, err := os.Stat(filepath.Join(s.Dir, "up")); return err == nil })
		cut()
		if err := <-first; err == nil {
			t.Fatal("a canceled call returned nil")
		}
		second := runner.NewClient(runner.ClientOptions{Dir: p.dir})
		defer second.Close()
		st, err := second.Lookup(t.Context(), "a", 1)
		if err != nil || st.State != runner.Running || st.PID == 0 {
			t.Fatalf("%+v %v", st, err)
		}
		if err := os.WriteFile(filepath.Join(s.Dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if st, err = second.Wait(t.Context(), "a"); err != nil || st.Result.ExitCode != 6 {
			t.Fatalf("%+v %v", st, err)
		}
		got := text(t, &st.Result.Stdout)
		if n := strings.Count(got, "\n"); n != 400000 || !strings.HasSuffix(got, "\n400000\n") {
			t.Errorf("%d lines", n)
		}
	})
}

func TestServeStopsJobsAndTellsWhoWaits(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	s := sh("a", "echo up; exec sleep 600")
	waited := make(chan runner.Status, 1)
	go func() {
		st, err := p.client.Run(t.Context(), s)
		if err != nil {
			t.Error(err)
		}
		waited <- st
	}()
	waitFor(t, func() bool {
		list, err := p.client.List(t.Context())
		return err == nil && len(list) == 1 && list[0].PID > 0
	})
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if st := <-waited; st.Result == nil || st.Result.Cause != runner.Stopped {
		t.Errorf("%+v", st)
	}
	<-p.ended
}
