package command_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/command"
	"github.com/sallyport-agent/sallyport/connectors/connectortest"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// TestMain makes the test binary a runner when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		o := runner.Options{Dir: os.Args[2], IdleExit: time.Minute, Ready: func() { fmt.Fprintln(os.Stdout, "ready") }}
		if err := runner.Serve(context.Background(), o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startRunner starts a runner of its own and returns a client and a way to kill it.
func startRunner(tb testing.TB, dir string) (*runner.Client, func()) {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "serve", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil {
		tb.Fatal(err)
	}
	c := runner.NewClient(runner.ClientOptions{Dir: dir})
	kill := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	tb.Cleanup(func() {
		if done, err := c.Shutdown(context.Background()); err != nil || !done {
			kill()
		}
		_ = cmd.Wait()
		c.Close()
	})
	return c, kill
}

func open(tb testing.TB, c *runner.Client, settings string) connectors.Session {
	tb.Helper()
	s, err := command.New(c).Open(tb.Context(), connectortest.Settings("command", settings))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func topic(job, text string) connectors.Call {
	return connectors.Call{Job: job, Action: "command.mid", Params: connectors.Params{"name": text, "topic": "Command"}}
}

func run(tb testing.TB, s connectors.Session, c connectors.Call) *connectors.Outcome {
	tb.Helper()
	out, err := s.Run(tb.Context(), connectortest.NewCall(tb, c))
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func body(tb testing.TB, x connectors.Text) string {
	tb.Helper()
	if x.Blob == nil {
		return x.Value
	}
	r, err := x.Blob.Open()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	if int64(len(b)) != x.Blob.Size() {
		tb.Errorf("the blob says %d bytes and has %d", x.Blob.Size(), len(b))
	}
	return string(b)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	endless := topic("endless", "sleep 3600")
	connectortest.Run(t, connectortest.Suite{
		Connector: command.New(c), Settings: "grace = '100ms'",
		Harmless: topic("harmless", "echo x"), Endless: &endless,
	})
}

func TestTopicHasTheMidServersShape(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	out := run(t, open(t, c, ""), topic("a", `printf '%s' 'x  "y'`))
	want := []connectors.Item{{
		Attributes: []connectors.Field{{Name: "command", Value: `printf '%s' 'x  "y'`}, {Name: "exit_code", Value: "0"}},
		Fields:     []connectors.Text{{Name: "stdout", Value: `x  "y`}, {Name: "stderr"}},
	}}
	if diff := cmp.Diff(want, out.Items); diff != "" || out.Failure != nil || out.JSON != nil {
		t.Errorf("%s %+v", diff, out.Failure)
	}
	out = run(t, open(t, c, ""), topic("b", `ls /no/such/file`))
	if out.Failure != nil || out.Items[0].Attributes[1].Value != "2" || out.Items[0].Fields[1].Value == "" {
		t.Errorf("%+v", out)
	}
}

func TestShellNeedsItsGrant(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	s := open(t, c, "")
	call := topic("a", "echo $((1+1)) | tr 2 b; exit 3")
	_, err := s.Run(t.Context(), connectortest.NewCall(t, call))
	if fault.KindOf(err) != fault.Invalid || !errors.Is(err, connectors.ErrNeedsShell) || fault.HintOf(err) == "" {
		t.Errorf("without the grant: %v", err)
	}
	call.Grant.Shell = true
	out := run(t, s, call)
	if out.Items[0].Fields[0].Value != "b\n" || out.Items[0].Attributes[1].Value != "3" || out.Failure != nil {
		t.Errorf("%+v", out)
	}
}

func TestNativeReturnsJSON(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	call := connectors.Call{Job: "a", Action: "command.run", Params: connectors.Params{"argv": []any{"printf", "%s|", "a b", "$x"}}}
	out := run(t, open(t, c, ""), call)
	if !strings.Contains(string(out.JSON), `"exit_code":0,"stdout":"a b|$x|"`) || out.Items != nil {
		t.Errorf("%s", out.JSON)
	}
	call.Job, call.Params = "b", connectors.Params{"command": "seq 100000"}
	out = run(t, open(t, c, ""), call)
	if !strings.Contains(string(out.JSON), `"inline":false`) || strings.Count(body(t, out.Items[0].Fields[0]), "\n") != 100000 {
		t.Errorf("%s", out.JSON)
	}
}

func TestOutputOfAnyEncoding(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	dir := t.TempDir()
	long := strings.Repeat("Grüße, 世界\r\n", 20_000)
	utf16 := func(text string, mark string) string {
		b := []byte(mark)
		for _, r := range text {
			b = append(b, byte(r), byte(r>>8))
		}
		return string(b)
	}
	for name, x := range map[string]struct{ settings, raw, want string }{
		"utf-8":           {"", long, long},
		"utf-8 mark":      {"", "\xef\xbb\xbfä", "ä"},
		"utf-8 one wrong": {"", "ä ö ü \xff.", "ä ö ü \ufffd."},
		"utf-8 cut":       {"", "abc \xe4\xb8", "abc \u00e4\u00b8"},
		"utf-16 le mark":  {"", utf16(long, "\xff\xfe"), long},
		"utf-16 le":       {"", utf16("Verzeichnis von C:\\ äöü\r\n", ""), "Verzeichnis von C:\\ äöü\r\n"},
		"latin":           {"", "Gr\xfc\xdfe", "Grüße"},
		"code page":       {"code_page = 'cp850'", "Gr\x81\xe1e", "Grüße"},
		"by name":         {"code_page = 'iso-8859-15'", "5 \xa4", "5 €"},
		"controls":        {"", "a\x00b\x1b[31m\x07\r\n", "a\x00b\x1b[31m\x07\r\n"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(x.raw), 0o600); err != nil {
			t.Fatal(err)
		}
		call := connectors.Call{Job: name, Action: "command.mid", Params: connectors.Params{"name": `cat "` + file + `"`}}
		out := run(t, open(t, c, x.settings), call)
		if got := body(t, out.Items[0].Fields[0]); got != x.want {
			t.Errorf("%s: %.60q, want %.60q", name, got, x.want)
		}
	}
}

func TestCutOutputSaysSo(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	out := run(t, open(t, c, "max_output = 10"), topic("a", "seq 100"))
	got := body(t, out.Items[0].Fields[0])
	if !strings.HasPrefix(got, "1\n2\n3\n4\n5\n\n[sallyport: cut here") || out.Warn == "" || out.Failure != nil {
		t.Errorf("%q %+v", got, out)
	}
}

func TestDefiniteFailuresAreOutcomes(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	for text, want := range map[string]string{
		"/no/such/program": "not found",
		"no-such-program":  "not found",
		"/etc/passwd":      "permission denied",
		"sleep 3600":       "not done within",
	} {
		out := run(t, open(t, c, "timeout = '200ms'\ngrace = '50ms'"), topic(text, text))
		if out.Failure == nil || !strings.Contains(out.Failure.Message, want) || !strings.Contains(out.Failure.Message, text) {
			t.Errorf("%s: %+v", text, out.Failure)
		}
	}
}

func TestCancelEndsTheCommandAndStopDoesNot(t *testing.T) {
	t.Parallel()
	c, _ := startRunner(t, t.TempDir())
	s := open(t, c, "grace = '50ms'")
	for job, cause := range map[string]error{"canceled": errors.New("canceled by an operator"), "stopped": connectors.ErrStopping} {
		ctx, cancel := context.WithCancelCause(t.Context())
		call := connectortest.NewCall(t, topic(job, "sleep 600"))
		done := make(chan error, 1)
		go func() { _, err := s.Run(ctx, call); done <- err }()
		awaitChild(t, c)
		cancel(cause)
		if err := <-done; fault.KindOf(err) != fault.Canceled || !errors.Is(err, cause) {
			t.Errorf("%s: %v", job, err)
		}
		found, _, err := s.(connectors.Recoverer).Recover(t.Context(), call)
		if err != nil || (found == connectors.FoundRunning) != (job == "stopped") {
			t.Errorf("%s: found %v %v", job, found, err)
		}
		_ = c.Cancel(t.Context(), job, 0)
		if _, err := c.Wait(t.Context(), job); err != nil {
			t.Error(err)
		}
	}
}

// awaitChild returns when a job's child process runs.
func awaitChild(tb testing.TB, c *runner.Client) {
	tb.Helper()
	for {
		list, err := c.List(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, st := range list {
			if st.State == runner.Running && st.PID > 0 {
				return
			}
		}
	}
}

// TestRecoverTellsTheTruth goes through everything that an agent can find after
// it was killed.
func TestRecoverTellsTheTruth(t *testing.T) {
	t.Parallel()
	dir, work := t.TempDir(), t.TempDir()
	c, kill := startRunner(t, dir)
	s := open(t, c, "directory = '"+work+"'")
	if err := os.WriteFile(filepath.Join(work, "job"), []byte("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.01; done; seq 50000; exit 6\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	recoverCall := func(s connectors.Session, c connectors.Call) (connectors.Found, *connectors.Outcome) {
		found, out, err := s.(connectors.Recoverer).Recover(t.Context(), connectortest.NewCall(t, c))
		if err != nil {
			t.Fatal(err)
		}
		return found, out
	}
	if found, _ := recoverCall(s, topic("never", "./job")); found != connectors.FoundNone {
		t.Errorf("never started: %v", found)
	}
	// The attempt that was given up can never start; the next one can.
	if _, err := s.Run(t.Context(), connectortest.NewCall(t, topic("never", "true"))); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a fenced attempt: %v", err)
	}
	again := topic("never", "true")
	again.Attempt = 2
	run(t, s, again)

	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Run(ctx, connectortest.NewCall(t, topic("a", "./job"))); done <- err }()
	awaitChild(t, c)
	cancel(connectors.ErrStopping)
	<-done
	other := runner.NewClient(runner.ClientOptions{Dir: dir})
	defer other.Close()
	s2 := open(t, other, "directory = '"+work+"'")
	if found, _ := recoverCall(s2, topic("a", "./job")); found != connectors.FoundRunning {
		t.Fatalf("running: %v", found)
	}
	if err := os.WriteFile(filepath.Join(work, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(t, s2, topic("a", "./job")) // continues, does not start again
	if got := body(t, out.Items[0].Fields[0]); !strings.HasSuffix(got, "\n50000\n") || out.Items[0].Attributes[1].Value != "6" {
		t.Errorf("%d bytes, %+v", len(got), out.Items[0].Attributes)
	}
	found, out := recoverCall(s2, topic("a", "./job"))
	if found != connectors.FoundDone || len(body(t, out.Items[0].Fields[0])) == 0 {
		t.Errorf("done: %v", found)
	}
	out.Journaled()
	if st, err := other.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Forgotten { // it goes with the request
		t.Errorf("after the journal: %+v %v", st, err)
	}

	if err := os.Remove(filepath.Join(work, "go")); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := s.Run(t.Context(), connectortest.NewCall(t, topic("b", "./job"))); done <- err }()
	awaitChild(t, c)
	kill()
	if err := <-done; fault.KindOf(err) != fault.Unknown {
		t.Errorf("the runner died: %v", err)
	}
	c, _ = startRunner(t, dir)
	if found, _ := recoverCall(open(t, c, ""), topic("b", "./job")); found != connectors.FoundAmbiguous {
		t.Errorf("after the runner died: %v", found)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"directory = 'relative'", "timeout = 'soon'", "timeout = '-1s'", "grace = '0s'", "max_output = -1",
		"code_page = 'no such'", "path = ['bin']", "path = ['/a:/b']", "[environment]\n'a=b' = 'c'", "typo = 1",
	} {
		_, err := command.New(nil).Open(t.Context(), connectortest.Settings("x", text))
		if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" || err == nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
