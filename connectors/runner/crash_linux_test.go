package runner_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// TestKilledAtEveryPoint kills the runner at each named point of a job's life;
// the next runner must tell the truth, and the job must not have run twice.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for point, want := range map[string]struct {
		state runner.State
		ran   string // effects at most; the job waits for nothing
	}{
		"begun":        {runner.Lost, ""},
		"before start": {runner.Lost, ""},
		"started":      {runner.Lost, "maybe"},
		"ended":        {runner.Lost, "1"},
		"recorded":     {runner.Exited, "1"},
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			modes(t, func(t *testing.T, args ...string) {
				t.Helper()
				dir, work := t.TempDir(), t.TempDir()
				p := startRunner(t, dir, append(args, "--die", point, "--nth", "3")...)
				// Two jobs before it, so that their record files are used again.
				for _, job := range []string{"before", "before, and longer than the one that follows"} {
					mustRun(t, p.client, sh(job, "echo "+job))
					if err := p.client.Forget(t.Context(), job); err != nil {
						t.Fatal(err)
					}
				}
				s := sh("a", "echo 1 >> effects; echo done")
				s.Dir = work
				if _, err := p.client.Run(t.Context(), s); fault.KindOf(err) != fault.Unknown || fault.HintOf(err) == "" {
					t.Fatalf("run: %v", err)
				}
				<-p.ended
				p = startRunner(t, dir, args...)
				st, err := p.client.Lookup(t.Context(), "a", 1)
				if err != nil || st.State != want.state {
					t.Fatalf("%+v %v", st, err)
				}
				if list, err := p.client.List(t.Context()); err != nil || len(list) != 1 {
					t.Errorf("a forgotten job is back: %+v %v", list, err)
				}
				if st.State == runner.Exited && (st.Result.ExitCode != 0 || text(t, &st.Result.Stdout) != "done\n") {
					t.Errorf("%+v", st.Result)
				}
				if st, started, err := p.client.Start(t.Context(), s); err != nil || started || st.State != want.state {
					t.Errorf("the same attempt again: %+v %v %v", st, started, err)
				}
				got, _ := os.ReadFile(filepath.Join(work, "effects"))
				if e := strings.TrimSpace(string(got)); want.ran != "maybe" && e != want.ran || len(e) > 1 {
					t.Errorf("effects %q", e)
				}
				// What is lost may be tried again, deliberately.
				s.Attempt = 2
				if st, err := p.client.Run(t.Context(), s); err != nil || st.State != runner.Exited {
					t.Errorf("another attempt: %+v %v", st, err)
				}
			})
		})
	}
}

func TestKilledRunnersChildrenAreEnded(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, args ...string) {
		t.Helper()
		dir := t.TempDir()
		p := startRunner(t, dir, args...)
		s := sh("a", forest+"sleep 600")
		s.Dir = t.TempDir()
		if _, _, err := p.client.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return exist(planted(s.Dir)...) })
		p.kill()
		p = startRunner(t, dir, args...)
		if st, err := p.client.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Lost {
			t.Errorf("%+v %v", st, err)
		}
		if len(args) > 0 {
			// Without control groups, a process that cleared its environment and
			// lost its parent with the runner still has its session.
			t.Log("found by session and nonce")
		}
		noneAlive(t, s.Dir)
	})
}

func exist(paths ...string) bool {
	for _, p := range paths {
		if info, err := os.Stat(p); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

func TestFenceKeepsALateStartOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startRunner(t, dir)
	for range 2 { // also when asked again
		if st, err := p.client.Lookup(t.Context(), "a", 2); err != nil || st.State != runner.Fenced {
			t.Fatalf("%+v %v", st, err)
		}
	}
	p.kill()
	p = startRunner(t, dir)
	for attempt := 1; attempt <= 2; attempt++ {
		s := sh("a", "echo x")
		s.Attempt = attempt
		if _, err := p.client.Run(t.Context(), s); fault.KindOf(err) != fault.Conflict {
			t.Errorf("attempt %d after the fence: %v", attempt, err)
		}
	}
	s := sh("a", "echo x")
	s.Attempt = 3
	if r := mustRun(t, p.client, s); r.ExitCode != 0 {
		t.Errorf("%+v", r)
	}
	if st, err := p.client.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Exited || st.Attempt != 3 {
		t.Errorf("%+v %v", st, err)
	}
}

// Lookup and Start race: exactly one of them wins, and both agree.
func TestFenceAndStartAgree(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	for i := range 50 {
		s := sh(strings.Repeat("x", i+1), "true")
		var wg sync.WaitGroup
		var err error
		var st runner.Status
		wg.Go(func() { _, err = p.client.Run(context.Background(), s) })
		wg.Go(func() { st, _ = p.client.Lookup(context.Background(), s.Job, 1) })
		wg.Wait()
		if fenced := st.State == runner.Fenced; fenced != (err != nil) {
			t.Fatalf("lookup says %s, start says %v", st.State, err)
		}
	}
}

func TestDamagedFilesAreNeverFatal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startRunner(t, dir)
	mustRun(t, p.client, sh("good", "echo x"))
	p.kill()
	for name, body := range map[string]string{
		"jempty@1.job":   "",
		"jcut@1.job":     `{"begun":{"job":"cut"`,
		"jdamaged@1.job": "\x00\x01garbage\n",
		"jhalf@1.job":    `{"begun":{"job":"half","attempt":1}}` + "\n" + `{"end":{"exit_co`,
		"jnewer@1.job":   `{"begun":{"job":"newer","attempt":1,"future":7}}` + "\n" + `{"telemetry":1}` + "\n" + `{"end":{"exit_code":4,"future":1}}` + "\n",
		"nonsense":       "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, "jobs", name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p = startRunner(t, dir)
	for job, want := range map[string]runner.State{
		"good": runner.Exited, "empty": runner.Fenced, "cut": runner.Fenced,
		"damaged": runner.Lost, "half": runner.Lost, "newer": runner.Exited,
	} {
		if st, err := p.client.Lookup(t.Context(), job, 1); err != nil || st.State != want {
			t.Errorf("%s: %+v %v, want %s", job, st, err, want)
		}
	}
}

// A pid that was given to another process since must not be taken for the job's.
func TestPidReuseIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startRunner(t, dir, "--nocgroup")
	boot, err := p.client.Ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.kill()
	stranger := exec.Command("sleep", "600")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	record := `{"begun":{"job":"a","attempt":1,"nonce":"NONE","boot":"` + boot.BootID + `"}}` + "\n" +
		`{"child":{"pid":` + itoa(stranger.Process.Pid) + `,"start":"1","boot":"` + boot.BootID + `"}}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "jobs", "ja@1.job"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	p = startRunner(t, dir, "--nocgroup")
	if st, err := p.client.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Lost {
		t.Errorf("%+v %v", st, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(itoa(stranger.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if !alive(t, filepath.Join(dir, "pid")) {
		t.Error("a stranger was killed")
	}
}

func TestOneRunnerAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startRunner(t, dir)
	second := exec.Command(os.Args[0], "serve", "--dir", dir)
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another runner") {
		t.Errorf("%v: %s", err, out)
	}
	mustRun(t, p.client, sh("a", "true"))
}

func TestStartersMakeOneRunnerWhichEndsWhenIdle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fork := runner.ForkOptions{Dir: dir, Command: []string{os.Args[0], "serve", "--dir", dir, "--idle", "200ms"}}
	var wg sync.WaitGroup
	pids := make(chan int, 4)
	for range 4 {
		wg.Go(func() {
			info, err := runner.Ensure(context.Background(), fork)
			if err != nil {
				t.Error(err)
			}
			pids <- info.PID
		})
	}
	wg.Wait()
	close(pids)
	first := <-pids
	for pid := range pids {
		if pid != first || pid == 0 {
			t.Errorf("runners %d and %d", first, pid)
		}
	}
	waitFor(t, func() bool { _, err := os.Stat("/proc/" + itoa(first) + "/exe"); return err != nil })

	// A client with Fork brings it back, and its presence keeps it.
	c := runner.NewClient(runner.ClientOptions{Dir: dir, Fork: &fork})
	if r := mustRun(t, c, sh("a", "sleep 0.5; echo x")); r.ExitCode != 0 {
		t.Errorf("%+v", r)
	}
	info, err := c.Ping(t.Context())
	if err != nil || info.Kept != 1 || !info.Forked {
		t.Errorf("%+v %v", info, err)
	}
	if done, err := c.Shutdown(t.Context()); !done || err != nil {
		t.Errorf("shutdown: %v %v", done, err)
	}
	c.Close()
	waitFor(t, func() bool { _, err := os.Stat("/proc/" + itoa(info.PID) + "/exe"); return err != nil })
}

func TestAnInstalledRunnerIsNotShutDown(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	if done, err := p.client.Shutdown(t.Context()); done || err != nil {
		t.Errorf("%v %v", done, err)
	}
}

func TestLongStateFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := startRunner(t, dir)
	mustRun(t, p.client, sh("a", "true"))
	info, err := os.Stat(filepath.Join(dir, "runner.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestNoRunnerIsUnavailable(t *testing.T) {
	t.Parallel()
	c := runner.NewClient(runner.ClientOptions{Dir: t.TempDir()})
	_, err := c.Run(t.Context(), sh("a", "true"))
	if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Ping(ctx); err == nil {
		t.Error("ping without a runner")
	}
}
