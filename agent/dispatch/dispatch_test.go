package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

func output(text string) *connectors.Outcome {
	return &connectors.Outcome{Items: []connectors.Item{{Fields: []connectors.Text{{Name: "output", Value: text}}}}}
}

// TestErrorAndEffectDecide is the table of what becomes of a failed attempt.
func TestErrorAndEffectDecide(t *testing.T) {
	t.Parallel()
	all := []connectors.Effect{connectors.AtMostOnce, connectors.Recoverable, connectors.Idempotent, connectors.ReadOnly}
	for _, c := range []struct {
		kind fault.Kind
		// by effect, in the order of all: how often it was called, and the result
		calls  [4]int32
		result [4]queue.Result
	}{
		{fault.Invalid, [4]int32{1, 1, 1, 1}, [4]queue.Result{queue.Failed, queue.Failed, queue.Failed, queue.Failed}},
		{fault.Denied, [4]int32{1, 1, 1, 1}, [4]queue.Result{queue.Failed, queue.Failed, queue.Failed, queue.Failed}},
		{fault.Conflict, [4]int32{1, 1, 1, 1}, [4]queue.Result{queue.Failed, queue.Failed, queue.Failed, queue.Failed}},
		{fault.Canceled, [4]int32{1, 1, 1, 1}, [4]queue.Result{queue.Canceled, queue.Canceled, queue.Canceled, queue.Canceled}},
		{fault.Unavailable, [4]int32{6, 6, 6, 6}, [4]queue.Result{queue.Failed, queue.Failed, queue.Failed, queue.Failed}},
		{fault.Unknown, [4]int32{1, 1, 6, 6}, [4]queue.Result{queue.Unknown, queue.Unknown, queue.Failed, queue.Failed}},
		{fault.Timeout, [4]int32{1, 1, 6, 6}, [4]queue.Result{queue.Unknown, queue.Unknown, queue.Failed, queue.Failed}},
		{fault.Internal, [4]int32{1, 1, 6, 6}, [4]queue.Result{queue.Unknown, queue.Unknown, queue.Failed, queue.Failed}},
	} {
		for i, effect := range all {
			t.Run(c.kind.String()+" "+effect.String(), func(t *testing.T) {
				t.Parallel()
				var calls atomic.Int32
				f := &fake{effect: effect, run: func(context.Context, *connectors.Call) (*connectors.Outcome, error) {
					calls.Add(1)
					return nil, fault.New(c.kind, "do", "it", errors.New("no luck with hunter22")).WithHint("try harder")
				}}
				job, text, _ := play(t, f, ecc.Message{}, nil)
				if job.Status.State != queue.Finished || job.Status.Result != c.result[i] || calls.Load() != c.calls[i] {
					t.Fatalf("%v, %v after %d calls; want %v after %d", job.Status.State, job.Status.Result, calls.Load(), c.result[i], c.calls[i])
				}
				if !strings.Contains(text, "no luck with ***") || strings.Contains(text, "hunter22") || !strings.Contains(text, `result_code="900000"`) {
					t.Errorf("the report: %s", text)
				}
				if want := "try harder"; c.result[i] == queue.Failed && !strings.Contains(text, want) {
					t.Errorf("the report has no hint: %s", text)
				}
			})
		}
	}
}

func TestAnUnknownOutcomeSaysWhatToCheck(t *testing.T) {
	t.Parallel()
	f := &fake{run: func(context.Context, *connectors.Call) (*connectors.Outcome, error) { panic("out of order") }}
	job, text, _ := play(t, f, ecc.Message{Source: "db7"}, nil)
	if job.Status.Result != queue.Unknown || job.Status.Attempt != 1 {
		t.Fatalf("%v after %d attempts", job.Status.Result, job.Status.Attempt)
	}
	for _, want := range []string{"outcome unknown", "was not run again", "fake.do", "panicked"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestRecoverDecidesWhereItCan(t *testing.T) {
	t.Parallel()
	for found, want := range map[connectors.Found]struct {
		result queue.Result
		calls  int32
	}{
		connectors.FoundAmbiguous: {queue.Unknown, 1},
		connectors.FoundNone:      {queue.Succeeded, 2},
		connectors.FoundRunning:   {queue.Succeeded, 2},
		connectors.FoundDone:      {queue.Succeeded, 1},
	} {
		t.Run(found.String(), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			f := &fake{
				effect: connectors.Recoverable,
				run: func(context.Context, *connectors.Call) (*connectors.Outcome, error) {
					if calls.Add(1) == 1 {
						return nil, fault.New(fault.Unknown, "do", "it", errors.New("cut"))
					}
					return output("second"), nil
				},
				recover: func(*connectors.Call) (connectors.Found, *connectors.Outcome, error) {
					if found == connectors.FoundDone {
						return found, output("found"), nil
					}
					return found, nil, nil
				},
			}
			job, _, _ := play(t, f, ecc.Message{}, nil)
			if job.Status.Result != want.result || calls.Load() != want.calls {
				t.Errorf("%v after %d calls, want %v after %d", job.Status.Result, calls.Load(), want.result, want.calls)
			}
		})
	}
}

func TestATimeoutEndsTheCall(t *testing.T) {
	t.Parallel()
	f := &fake{effect: connectors.AtMostOnce, run: func(ctx context.Context, _ *connectors.Call) (*connectors.Outcome, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	job, text, _ := play(t, f, ecc.Message{}, func(b *bundle) { b.verdict.Timeout = 5 * time.Minute })
	if job.Status.Result != queue.Unknown || job.Status.Changed.Sub(job.Status.Started) != 5*time.Minute {
		t.Errorf("%v after %v", job.Status.Result, job.Status.Changed.Sub(job.Status.Started))
	}
	if !strings.Contains(text, "not done within 5m0s") {
		t.Errorf("the report: %s", text)
	}
}

func TestWhatThePolicySays(t *testing.T) {
	t.Parallel()
	ran := func() (*fake, *atomic.Int32) {
		var calls atomic.Int32
		return &fake{run: func(context.Context, *connectors.Call) (*connectors.Outcome, error) {
			calls.Add(1)
			return output("done"), nil
		}}, &calls
	}
	t.Run("denied", func(t *testing.T) {
		t.Parallel()
		f, calls := ran()
		job, text, _ := play(t, f, ecc.Message{}, func(b *bundle) {
			b.verdict = dispatch.Verdict{Reason: "no rule allows it", Remedy: `allow = ["Fake"]`}
		})
		if job.Status.Result != queue.Denied || calls.Load() != 0 || job.Status.Attempt != 0 {
			t.Errorf("%v after %d calls", job.Status.Result, calls.Load())
		}
		if !strings.Contains(text, "no rule allows it") || !strings.Contains(text, "allow = [&quot;Fake&quot;]") && !strings.Contains(text, "allow = [&#34;Fake&#34;]") {
			t.Errorf("the report: %s", text)
		}
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		f, calls := ran()
		synctest.Test(t, func(t *testing.T) {
			b := newBundle(t, f)
			b.put(ecc.Message{}, func(j *queue.Job) { j.Created = time.Now().Add(-25 * time.Hour) })
			b.start()
			synctest.Wait()
			if j := b.job(); j.Status.Result != queue.Expired || calls.Load() != 0 {
				t.Errorf("%v after %d calls", j.Status.Result, calls.Load())
			}
			b.end()
		})
	})
	t.Run("held until a time", func(t *testing.T) {
		t.Parallel()
		f, calls := ran()
		synctest.Test(t, func(t *testing.T) {
			b := newBundle(t, f)
			b.verdict.Hold, b.verdict.Until = true, time.Now().Add(time.Hour)
			b.put(ecc.Message{}, nil)
			b.start()
			synctest.Wait()
			if j := b.job(); j.Status.State != queue.Held || calls.Load() != 0 {
				t.Fatalf("%v after %d calls", j.Status.State, calls.Load())
			}
			time.Sleep(time.Hour + time.Second) //nolint:forbidigo // the bubble's time
			synctest.Wait()
			if j := b.job(); j.Status.Result != queue.Succeeded {
				t.Errorf("%v %v", j.Status.State, j.Status.Result)
			}
			b.end()
		})
	})
	t.Run("held until approved", func(t *testing.T) {
		t.Parallel()
		f, calls := ran()
		synctest.Test(t, func(t *testing.T) {
			b := newBundle(t, f)
			b.verdict.Hold = true
			b.put(ecc.Message{}, nil)
			b.start()
			time.Sleep(20 * time.Hour) //nolint:forbidigo // the bubble's time
			if calls.Load() != 0 {
				t.Fatal("it ran without approval")
			}
			if err := b.d.Approve(t.Context(), id, "ada"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if j := b.job(); j.Status.Result != queue.Succeeded || j.Status.Approved != "ada" {
				t.Errorf("%v %v by %q", j.Status.State, j.Status.Result, j.Status.Approved)
			}
			b.end()
		})
	})
}

func TestATargetThatCannotBeOpenedIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := &fake{run: func(context.Context, *connectors.Call) (*connectors.Outcome, error) { return output("done"), nil }}
	synctest.Test(t, func(t *testing.T) {
		b := newBundle(t, f)
		var away error = fault.New(fault.Unavailable, "open", "fake", errors.New("no route"))
		b.openErr.Store(&away)
		b.put(ecc.Message{}, nil)
		b.start()
		synctest.Wait()
		if j := b.job(); j.Status.State != queue.Held || j.Status.Attempt != 0 || !strings.Contains(j.Status.Why, "no route") {
			t.Fatalf("%v %q", j.Status.State, j.Status.Why)
		}
		b.openErr.Store(nil)
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if j := b.job(); j.Status.Result != queue.Succeeded {
			t.Errorf("%v %v", j.Status.State, j.Status.Result)
		}
		b.end()
	})
}

func TestCancelReachesEveryState(t *testing.T) {
	t.Parallel()
	f := &fake{effect: connectors.ReadOnly, run: func(ctx context.Context, _ *connectors.Call) (*connectors.Outcome, error) {
		<-ctx.Done()
		return nil, fault.New(fault.Canceled, "do", "it", context.Cause(ctx))
	}}
	synctest.Test(t, func(t *testing.T) { // running
		b := newBundle(t, f)
		b.put(ecc.Message{}, nil)
		b.start()
		synctest.Wait()
		if err := b.d.Cancel(t.Context(), id, "ada"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if j := b.job(); j.Status.Result != queue.Canceled || !strings.Contains(b.report(), "canceled by ada") {
			t.Errorf("%v: %s", j.Status.Result, b.report())
		}
		if err := b.d.Cancel(t.Context(), id, "ada"); fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
			t.Errorf("canceling a finished job: %v", err)
		}
		b.end()
	})
	synctest.Test(t, func(t *testing.T) { // held
		b := newBundle(t, f)
		b.verdict.Hold = true
		b.put(ecc.Message{}, nil)
		b.start()
		synctest.Wait()
		if err := b.d.Cancel(t.Context(), id, "ada"); err != nil {
			t.Fatal(err)
		}
		if j := b.job(); j.Status.Result != queue.Canceled || j.Status.Attempt != 0 {
			t.Errorf("%v after %d attempts", j.Status.Result, j.Status.Attempt)
		}
		b.end()
	})
}

func TestAWaitHoldsNoWorkerAndAnAgentThatStopsLeavesTheJobStarted(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	f := &fake{effect: connectors.AtMostOnce, run: func(ctx context.Context, c *connectors.Call) (*connectors.Outcome, error) {
		if calls.Add(1) == 1 {
			if err := c.Host.Save(ctx, []byte("order 7")); err != nil {
				return nil, err
			}
			return &connectors.Outcome{Wait: &connectors.Wait{Until: time.Now().Add(time.Hour), Why: "the order is under way"}}, nil
		}
		if string(c.Host.State()) != "order 7" {
			t.Errorf("the saved state is %q", c.Host.State())
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	synctest.Test(t, func(t *testing.T) {
		b := newBundle(t, f)
		b.put(ecc.Message{}, nil)
		b.start()
		synctest.Wait()
		if j := b.job(); j.Status.State != queue.Waiting || j.Status.Why != "the order is under way" {
			t.Fatalf("%v %q", j.Status.State, j.Status.Why)
		}
		if busy := b.d.Busy(); busy != (queue.PoolCounts{}) || len(b.d.Running()) != 0 {
			t.Errorf("a waiting job holds workers: %v", busy)
		}
		time.Sleep(time.Hour + time.Second) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if len(b.d.Running()) != 1 {
			t.Fatal("it is not running again")
		}
		b.end()
		if j := b.job(); j.Status.State != queue.Started {
			t.Errorf("after the stop it is %v", j.Status.State)
		}
	})
}

func TestBadMessagesAreAnswered(t *testing.T) {
	t.Parallel()
	f := &fake{run: func(context.Context, *connectors.Call) (*connectors.Outcome, error) { return output("done"), nil }}
	for name, c := range map[string]struct {
		m    ecc.Message
		want string
	}{
		"no XML":                  {ecc.Message{Payload: "<parameters"}, "900000"},
		"a topic nobody serves":   {ecc.Message{Topic: "HorizontalDiscoveryProbe"}, "HorizontalDiscoveryProbe"},
		"an action nobody has":    {ecc.Message{Topic: "Sallyport", Name: "no.such"}, "no.such"},
		"no action":               {ecc.Message{Topic: "Sallyport"}, "has no action"},
		"params that are no JSON": {ecc.Message{Topic: "Sallyport", Name: "fake.do", Payload: `<parameters><parameter name="params" value="{"/></parameters>`}, "params"},
		"a wrong type":            {ecc.Message{Topic: "Sallyport", Name: "fake.do", Payload: `<parameters><parameter name="params" value="{&quot;n&quot;:&quot;x&quot;}"/></parameters>`}, "integer"},
		"a declaration's panic":   {ecc.Message{Payload: `<parameters><parameter name="trap" value="1"/></parameters>`}, "panicked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, text, _ := play(t, f, c.m, nil)
			if job.Status.Result != queue.Failed || job.Status.Attempt != 0 {
				t.Errorf("%v after %d attempts", job.Status.Result, job.Status.Attempt)
			}
			if !strings.Contains(text, c.want) || !strings.Contains(text, `result_code="900000"`) {
				t.Errorf("the report: %s", text)
			}
		})
	}
}
