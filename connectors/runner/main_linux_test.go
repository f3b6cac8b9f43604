package runner_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// TestMain makes the test binary a runner, or the child of one, when it is
// started as such: a runner changes its own process and so needs one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		os.Exit(serve(os.Args[2:]))
	}
	flag.Parse()
	os.Exit(m.Run())
}

func serve(args []string) int {
	fs := flag.NewFlagSet("serve", flag.ExitOnError)
	var o runner.Options
	fs.StringVar(&o.Dir, "dir", "", "")
	fs.DurationVar(&o.IdleExit, "idle", 0, "")
	fs.DurationVar(&o.Keep, "keep", 0, "")
	fs.BoolVar(&o.NoCgroup, "nocgroup", false, "")
	die := fs.String("die", "", "")
	nth := fs.Int64("nth", 1, "")
	profile := fs.String("profile", "", "")
	_ = fs.Parse(args)
	o.Version = "test"
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	o.Ready = func() { fmt.Fprintln(os.Stdout, "ready") }
	var seen atomic.Int64
	runner.SetHook(&o, func(point string) {
		if point == *die && seen.Add(1) == *nth {
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	})
	if *profile != "" {
		f, _ := os.Create(*profile)
		_ = pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runner.Serve(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a runner in a process of its own.
type process struct {
	dir    string
	cmd    *exec.Cmd
	client *runner.Client
	ended  chan struct{}
}

func startRunner(tb testing.TB, dir string, args ...string) *process {
	tb.Helper()
	p := &process{dir: dir, client: runner.NewClient(runner.ClientOptions{Dir: dir, Version: "test"}), ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append([]string{"serve", "--dir", dir}, args...)...)
	log, err := os.OpenFile(filepath.Join(dir, "test.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil || word != "ready" {
		body, _ := os.ReadFile(log.Name())
		tb.Fatalf("runner does not start: %v: %s", err, body)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	tb.Cleanup(func() {
		p.client.Close()
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second):
			tb.Error("runner does not end")
			p.kill()
		}
		log.Close()
		if tb.Failed() {
			body, _ := os.ReadFile(log.Name())
			tb.Logf("runner's log:\n%s", body)
		}
	})
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// modes are the two ways of finding a tree.
func modes(t *testing.T, f func(t *testing.T, args ...string)) {
	t.Helper()
	t.Run("default", func(t *testing.T) { t.Parallel(); f(t) })
	t.Run("nocgroup", func(t *testing.T) { t.Parallel(); f(t, "--nocgroup") })
}

func sh(job, text string) *runner.Spec {
	return &runner.Spec{Job: job, Attempt: 1, Program: "/bin/sh", Args: []string{"-c", text}, Timeout: time.Minute}
}

func mustRun(tb testing.TB, c *runner.Client, s *runner.Spec) *runner.Result {
	tb.Helper()
	st, err := c.Run(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	if st.State != runner.Exited {
		tb.Fatalf("state %s", st.State)
	}
	return st.Result
}

func text(tb testing.TB, o *runner.Output) string {
	tb.Helper()
	r, err := o.Open(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	buf := make([]byte, 1<<20)
	for {
		n, err := r.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			if err.Error() != "EOF" {
				tb.Fatal(err)
			}
			return b.String()
		}
	}
}

func itoa(n int) string { return fmt.Sprint(n) }
