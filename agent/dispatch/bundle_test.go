package dispatch_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

// fake is a connector whose one session does what the test says.
type fake struct {
	effect connectors.Effect
	run    func(ctx context.Context, c *connectors.Call) (*connectors.Outcome, error)
	// recover, when set, makes the session a Recoverer.
	recover func(c *connectors.Call) (connectors.Found, *connectors.Outcome, error)
}

func (f *fake) Describe() connectors.Descriptor {
	return connectors.Descriptor{Name: "fake", Implicit: true, Actions: []connectors.Action{{
		Name: "fake.do", Topics: []string{"Fake"},
		Effect: func(p connectors.Params) connectors.Effect {
			if p.String("trap") != "" {
				panic("a declaration that cannot cope")
			}
			return f.effect
		},
		Parameters: []byte(`{"type":"object","properties":{"n":{"type":"integer"}}}`),
	}}}
}

func (f *fake) Open(context.Context, connectors.Settings) (connectors.Session, error) {
	if f.recover != nil {
		return &recoverer{session{f}}, nil
	}
	return &session{f}, nil
}

type session struct{ f *fake }

func (s *session) Run(ctx context.Context, c *connectors.Call) (*connectors.Outcome, error) {
	return s.f.run(ctx, c)
}
func (s *session) Probe(context.Context) error { return nil }
func (s *session) Close() error                { return nil }

type recoverer struct{ session }

func (r *recoverer) Recover(_ context.Context, c *connectors.Call) (connectors.Found, *connectors.Outcome, error) {
	return r.f.recover(c)
}

// bundle is a dispatcher over a memory queue.
type bundle struct {
	t       *testing.T
	fake    *fake
	queue   *queuetest.Memory
	d       *dispatch.Dispatcher
	verdict dispatch.Verdict
	openErr atomic.Pointer[error]
	stop    context.CancelCauseFunc
	ended   chan struct{}
}

func (b *bundle) Session(ctx context.Context, _, _ string) (connectors.Session, error) {
	if err := b.openErr.Load(); err != nil {
		return nil, *err
	}
	return b.fake.Open(ctx, connectors.Settings{})
}

func (b *bundle) Credential(context.Context, string, string) (connectors.Credential, error) {
	return connectors.Credential{}, errors.New("none")
}
func (b *bundle) Room(string) int                                 { return 0 }
func (b *bundle) Judge(dispatch.Request) dispatch.Verdict         { return b.verdict }
func (b *bundle) Started(dispatch.Request, dispatch.Verdict) bool { return true }

// sleep waits in the bubble's time.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// newBundle makes a dispatcher; it runs from start on, inside a synctest bubble.
func newBundle(t *testing.T, f *fake) *bundle {
	t.Helper()
	b := &bundle{t: t, fake: f, queue: queuetest.NewMemory(time.Now), verdict: dispatch.Verdict{Allow: true, Reason: "a rule"}}
	registry, err := connectors.NewRegistry(f)
	if err != nil {
		t.Fatal(err)
	}
	b.d, err = dispatch.New(dispatch.Config{
		Queue: b.queue, Registry: registry, Targets: b, Judge: b, Log: slog.New(slog.DiscardHandler), Now: time.Now, Sleep: sleep,
		Fresh:        func(string) bool { return true },
		Redact:       func(s string) string { return strings.ReplaceAll(s, "hunter22", "***") },
		RedactReader: func(r io.Reader) io.Reader { return r },
		Finished:     func(queue.Job) {}, Jitter: func() float64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) start() {
	b.ended = make(chan struct{})
	ctx, cancel := context.WithCancelCause(b.t.Context())
	b.stop = cancel
	go func() {
		defer close(b.ended)
		if err := b.d.Run(ctx, ctx); err != nil {
			b.t.Error(err)
		}
	}()
}

// end stops the dispatcher as a stop of the agent does.
func (b *bundle) end() {
	b.stop(connectors.ErrStopping)
	<-b.ended
}

const id = queue.ID("i/0123456789abcdef0123456789abcdef")

// put journals and claims one job.
func (b *bundle) put(m ecc.Message, change func(*queue.Job)) {
	b.t.Helper()
	m.SysID, m.Agent, m.Priority = "0123456789abcdef0123456789abcdef", "mid.server.x", 2
	if m.Topic == "" {
		m.Topic = "Fake"
	}
	j := queue.Job{
		ID: id, Instance: "i", SysID: m.SysID, Run: 1, Agent: m.Agent, Topic: m.Topic, Priority: 2, Pool: queue.Standard,
		Action: "fake.do", Target: "fake", Created: time.Now(), Received: time.Now(),
	}
	if change != nil {
		change(&j)
	}
	ctx := b.t.Context()
	if _, err := b.queue.Put(ctx, []queue.Entry{{Job: j, Message: ecc.Encode(m)}}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.queue.Advance(ctx, queue.Transition{Job: id, From: queue.Received, To: queue.Claimed, At: time.Now()}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) job() queue.Job {
	b.t.Helper()
	j, err := b.queue.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

// report returns the payload of the job's report.
func (b *bundle) report() string {
	b.t.Helper()
	body, err := b.queue.Open(b.t.Context(), id, queue.Outcome)
	if err != nil {
		b.t.Fatal(err)
	}
	r := report.NewReader(body)
	if _, err := r.Next(); err != nil {
		b.t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// play runs one job to rest and returns it.
func play(t *testing.T, f *fake, m ecc.Message, change func(*bundle)) (job queue.Job, text string, b *bundle) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b = newBundle(t, f)
		if change != nil {
			change(b)
		}
		b.put(m, nil)
		b.start()
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		job = b.job()
		if job.Status.State == queue.Finished {
			text = b.report()
		}
		b.end()
	})
	return job, text, b
}
