package diag_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/connectortest"
	"github.com/sallyport-agent/sallyport/connectors/diag"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, connectortest.Suite{
		Connector: diag.New(),
		Harmless:  connectors.Call{Action: "diag.echo", Params: connectors.Params{"text": "x"}},
		Endless:   &connectors.Call{Action: "diag.sleep", Params: connectors.Params{"seconds": "3600"}},
	})
}

func open(t *testing.T, settings string) connectors.Session {
	t.Helper()
	s, err := diag.New().Open(t.Context(), connectortest.Settings("diag", settings))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func run(t *testing.T, s connectors.Session, c connectors.Call) (*connectors.Outcome, error) {
	t.Helper()
	return s.Run(t.Context(), connectortest.NewCall(t, c))
}

func TestEchoAndFail(t *testing.T) {
	t.Parallel()
	s := open(t, "")
	out, err := run(t, s, connectors.Call{Action: "diag.echo", Params: connectors.Params{"text": "a<b"}})
	if err != nil || string(out.JSON) != `{"text":"a\u003cb"}` {
		t.Errorf("%s %v", out.JSON, err)
	}
	for kind := fault.Internal; kind <= fault.Unknown; kind++ {
		_, err := run(t, s, connectors.Call{Action: "diag.fail", Params: connectors.Params{"kind": kind.String(), "message": "m"}})
		if fault.KindOf(err) != kind || !strings.HasSuffix(err.Error(), ": m") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	out, err = run(t, s, connectors.Call{Action: "diag.fail"})
	if err != nil || out.Failure == nil {
		t.Errorf("%+v %v", out, err)
	}
	if _, err = run(t, s, connectors.Call{Action: "diag.fail", Params: connectors.Params{"kind": "odd"}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}

func TestSleepTakesItsTimeAndEndsEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "")
		start := time.Now()
		if _, err := run(t, s, connectors.Call{Action: "diag.sleep", Params: connectors.Params{"seconds": "90.5"}}); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 90500*time.Millisecond {
			t.Errorf("slept %v", d)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(connectors.ErrStopping) })
		_, err := s.Run(ctx, connectortest.NewCall(t, connectors.Call{Action: "diag.sleep", Params: connectors.Params{"seconds": 1e4}}))
		if fault.KindOf(err) != fault.Canceled || time.Since(start) != 91500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	for _, bad := range []any{"x", "-1", "NaN", "1e99", 86401} {
		_, err := run(t, open(t, ""), connectors.Call{Action: "diag.sleep", Params: connectors.Params{"seconds": bad}})
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestWaitCountsAcrossProcesses(t *testing.T) {
	t.Parallel()
	host := &connectortest.Host{}
	call := connectors.Call{Action: "diag.wait", Params: connectors.Params{"times": "2"}, Host: host}
	for range 2 {
		out, err := run(t, open(t, ""), call)
		if err != nil || out.Wait == nil || out.Wait.Why == "" {
			t.Fatalf("%+v %v", out, err)
		}
	}
	out, err := run(t, open(t, ""), call)
	if err != nil || out.Wait != nil || string(out.JSON) != `{"waited":2}` {
		t.Errorf("%+v %v", out, err)
	}
	host = &connectortest.Host{SaveError: fault.New(fault.Unavailable, "save", "", nil)}
	call.Host = host
	if out, err := run(t, open(t, ""), call); err == nil {
		t.Errorf("waits although nothing was saved: %+v", out)
	}
}

func TestAppendLeavesOneLineARun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "effects")
	s := open(t, "file = '"+file+"'")
	var wg sync.WaitGroup
	var want []string
	for i := range 20 {
		job := "prod/" + strings.Repeat("f", i+1)
		want = append(want, job)
		wg.Go(func() {
			if _, err := run(t, s, connectors.Call{Job: job, Action: "diag.append"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(body))
	slices.SortFunc(got, func(a, b string) int { return len(a) - len(b) })
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if _, err := run(t, open(t, ""), connectors.Call{Action: "diag.append"}); fault.KindOf(err) != fault.Denied {
		t.Errorf("append without a file: %v", err)
	}
	for _, a := range diag.New().Describe().Actions {
		if a.Name == "diag.append" && a.EffectOf(nil) != connectors.AtMostOnce {
			t.Error("append may be repeated")
		}
	}
}
