package control_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/control/controltest"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// serve runs an agent's local API for the length of a test.
func serve(t *testing.T, o control.Options) (stop func()) {
	t.Helper()
	ready, done := make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- control.Serve(ctx, o) }()
	select {
	case <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("serve: %v", err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func dial(t *testing.T, path string) *control.Client {
	t.Helper()
	c, err := control.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func sample(t *testing.T) (*controltest.Agent, *control.Client) {
	t.Helper()
	a, path := controltest.Sample(now()), control.Path(t.TempDir())
	serve(t, control.Options{Path: path, Agent: a, Version: "1.2.3"})
	return a, dial(t, path)
}

func TestWhatTheAgentSaysArrivesWhole(t *testing.T) {
	t.Parallel()
	a, c := sample(t)
	ctx := t.Context()

	status, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.State, status); diff != "" {
		t.Error(diff)
	}
	list, err := c.Jobs(ctx, control.Filter{State: "delivered", Limit: 1})
	if err != nil || len(list) != 1 || list[0].ID != "prod/a" {
		t.Errorf("jobs %v, error %v", list, err)
	}
	d, err := c.Job(ctx, "prod/c")
	if diff := cmp.Diff(a.Details[2], d); err != nil || diff != "" {
		t.Error(err, diff)
	}
	e, err := c.Explain(ctx, "prod/d")
	if err != nil || e.Job != "prod/d" || e.Would == "" || len(e.Steps) != 1 {
		t.Errorf("explanation %+v, error %v", e, err)
	}
	if h := c.Hello(); h.Version != "1.2.3" || !h.Admin || h.Account == "" || h.Protocol != control.Protocol {
		t.Errorf("hello %+v", h)
	}
}

func TestChangesCarryWhoAsked(t *testing.T) {
	t.Parallel()
	a, c := sample(t)
	ctx := t.Context()
	by := c.Hello().Account
	id, err := c.Retry(ctx, "prod/d", false)
	if err != nil || id != "prod/d#2" {
		t.Errorf("retry gave %q, %v", id, err)
	}
	for _, err := range []error{
		c.Cancel(ctx, "prod/b"), c.Approve(ctx, "prod/c"), c.Pause(ctx, "patch day"), c.Drain(ctx, ""), c.Resume(ctx),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"retry prod/d " + by, "cancel prod/b " + by, "approve prod/c " + by, "paused patch day " + by, "draining  " + by, "running  " + by}
	if diff := cmp.Diff(want, a.Calls()); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsCrossWithKindHintAndCause(t *testing.T) {
	t.Parallel()
	a, c := sample(t)
	_, err := c.Job(t.Context(), "prod/none#3")
	_, want := a.Job(t.Context(), "prod/none#3")
	if err == nil || err.Error() != want.Error() || fault.HintOf(err) != fault.HintOf(want) || fault.KindOf(err) != fault.KindOf(want) {
		t.Errorf("got %v (%v, %q), want %v", err, fault.KindOf(err), fault.HintOf(err), want)
	}
	if !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("%v does not wrap ErrNotFound", err)
	}
	if _, err := c.Retry(t.Context(), "prod/a", false); fault.KindOf(err) != fault.Conflict {
		t.Errorf("retry of a success gave %v", err)
	}
	if _, err := c.Retry(t.Context(), "prod/a", true); err != nil {
		t.Errorf("retry with force gave %v", err)
	}
	if err := c.Pause(t.Context(), "two\nlines"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a note with a line break gave %v", err)
	}
	if _, err := c.Job(t.Context(), strings.Repeat("x", 600)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a huge id gave %v", err)
	}
	if _, err := c.Jobs(t.Context(), control.Filter{Limit: control.MaxJobs + 1}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a huge limit gave %v", err)
	}
}

func TestOutputIsStreamedAndABreakIsSeen(t *testing.T) {
	t.Parallel()
	a := controltest.Sample(now())
	big := strings.Repeat("0123456789abcdef", 1<<17)
	a.Reports["prod/a"] = big
	a.Broken = map[string]error{"prod/d": errors.New("disk")}
	path := control.Path(t.TempDir())
	serve(t, control.Options{Path: path, Agent: a})
	c := dial(t, path)

	r, err := c.Output(t.Context(), "prod/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != big {
		t.Errorf("%d bytes, error %v; want %d", len(got), err, len(big))
	}
	r, err = c.Output(t.Context(), "prod/d")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err == nil {
		t.Errorf("a broken output looks complete: %q", got)
	}
	if _, err := c.Output(t.Context(), "prod/none"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("output of no job gave %v", err)
	}
}

func TestAPanicIsAnAnswerAndKeepsItsSecret(t *testing.T) {
	t.Parallel()
	a := &controltest.Agent{Panic: true}
	path := control.Path(t.TempDir())
	var log strings.Builder
	hide := func(s string) string { return strings.ReplaceAll(s, "s3cret", "***") }
	stop := serve(t, control.Options{Path: path, Agent: a, Redact: hide, Log: slog.New(slog.NewTextHandler(&log, nil))})
	c := dial(t, path)
	_, err := c.Status(t.Context())
	if fault.KindOf(err) != fault.Internal || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Jobs(t.Context(), control.Filter{}); err != nil {
		t.Errorf("after the panic: %v", err)
	}
	stop()
	if !strings.Contains(log.String(), "stack=") || strings.Contains(log.String(), "s3cret") {
		t.Errorf("log %q", log.String())
	}
}

func TestNoAgentIsUnavailableWithAHint(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		_, err := control.Dial(t.Context(), control.Path(dir))
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "start the agent") {
			t.Errorf("got %v, hint %q", err, fault.HintOf(err))
		}
	}
}

func TestASecondAgentIsRefused(t *testing.T) {
	t.Parallel()
	path := control.Path(t.TempDir())
	serve(t, control.Options{Path: path, Agent: &controltest.Agent{}})
	err := control.Serve(t.Context(), control.Options{Path: path, Agent: &controltest.Agent{}})
	if fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if _, err := dial(t, path).Status(t.Context()); err != nil {
		t.Errorf("the first agent suffers: %v", err)
	}
}
