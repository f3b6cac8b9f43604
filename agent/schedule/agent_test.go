package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// steppedQueue gives way before and after each call that changes the queue, and
// lets some of them fail as a full disk would.
type steppedQueue struct {
	queue.Queue
	w      *world
	faults *bool
}

func (q *steppedQueue) around(what string, call func() error) error {
	q.w.point()
	if *q.faults && q.w.chance(60) {
		q.w.logf("queue: %s finds the disk full", what)
		return fault.New(fault.Unavailable, what, "model", queue.ErrFull)
	}
	err := call()
	q.w.point()
	return err
}

func (q *steppedQueue) Put(ctx context.Context, e []queue.Entry) (n int, err error) {
	err = q.around("put", func() error { n, err = q.Queue.Put(ctx, e); return err })
	return n, err
}

func (q *steppedQueue) Advance(ctx context.Context, moves ...queue.Transition) error {
	return q.around("advance", func() error {
		for _, m := range moves {
			q.w.logf("queue: %s %s → %s %s %s", m.Job, m.From, m.To, m.Result, m.Why)
		}
		return q.Queue.Advance(ctx, moves...)
	})
}

func (q *steppedQueue) Mark(ctx context.Context, marks ...queue.Mark) error {
	return q.around("mark", func() error { return q.Queue.Mark(ctx, marks...) })
}

func (q *steppedQueue) Save(ctx context.Context, id queue.ID, state []byte) error {
	return q.around("save", func() error { return q.Queue.Save(ctx, id, state) })
}

func (q *steppedQueue) Known(ctx context.Context, instance string, ids []string) (map[string]queue.Seen, error) {
	q.w.point()
	return q.Queue.Known(ctx, instance, ids)
}

func (q *steppedQueue) Unfinished(ctx context.Context) iter.Seq2[queue.Job, error] {
	q.w.point()
	return q.Queue.Unfinished(ctx)
}

func (q *steppedQueue) Open(ctx context.Context, id queue.ID, part queue.Part) (io.ReadCloser, error) {
	return q.Queue.Open(ctx, id, part)
}

// router is the model's routing: the topic is the action.
type router struct{}

func (router) Route(m ecc.Message) intake.Route {
	return intake.Route{Action: "model." + m.Topic, Target: "model", Name: m.Name}
}

func (router) Again(earlier queue.Job, _ ecc.Message) bool { return repeatable(earlier.Topic) }

type noDirect struct{}

func (noDirect) Answer(context.Context, ecc.Message) (bool, error) { return false, nil }

// allowAll is a policy that allows everything, but holds what is named so.
type allowAll struct{ w *world }

func (a allowAll) Judge(r dispatch.Request) dispatch.Verdict {
	return dispatch.Verdict{
		Allow: r.Job.Name != "denied", Hold: r.Job.Name == "held", Until: r.Job.Received.Add(2 * time.Minute),
		Reason: "the model says so", MaxAge: 30 * 24 * time.Hour,
	}
}

func (allowAll) Started(dispatch.Request, dispatch.Verdict) bool { return true }

type targets struct{ t *target }

func (t targets) Session(context.Context, string, string) (connectors.Session, error) {
	return t.t, nil
}

func (targets) Credential(context.Context, string, string) (connectors.Credential, error) {
	return connectors.Credential{}, errors.New("the model has no credentials")
}

func (targets) Room(string) int { return 0 }

// start makes the stages of a new process over what is durable.
func (s *schedule) start() {
	ctx := context.Background()
	q := &steppedQueue{Queue: s.queue, w: s.w, faults: &s.inst.faults}
	log := slog.New(slog.DiscardHandler)
	var in *intake.Intake
	disp, err := dispatch.New(dispatch.Config{
		Queue: q, Registry: s.registry, Targets: targets{s.target}, Judge: allowAll{s.w}, Log: log, Now: s.w.clock, Sleep: s.w.sleep,
		Fresh: func(string) bool { return in.Fresh() }, Redact: func(t string) string { return t },
		RedactReader: func(r io.Reader) io.Reader { return r },
		Finished:     func(queue.Job) {}, Jitter: s.w.rng.Float64,
	})
	if err != nil {
		panic(err)
	}
	in = intake.New(intake.Config{
		Instance: "model", Agent: us, Remote: s.inst, Queue: q, Router: router{}, Direct: noDirect{},
		Log: log, Now: s.w.clock, Page: 5,
	})
	del := delivery.New(delivery.Config{
		Instance: "model", Remote: s.inst, Queue: q, Log: log, Now: s.w.clock,
		Settle: time.Minute, Longest: 30 * time.Second, Batch: 3,
	})
	s.in = in
	s.w.spawn("intake", func() {
		for {
			_, err := in.Step(ctx)
			s.w.pause(s.w.now.Add(5*time.Second + fault.RetryAfterOf(err)))
		}
	})
	s.w.spawn("dispatch", func() {
		tasks, err := disp.Resume(ctx)
		if err != nil {
			s.w.violated("resume: %v", err)
		}
		for i, t := range tasks {
			s.w.spawn(fmt.Sprintf("resumed %d", i), func() { t(ctx) })
		}
		for {
			task, err := disp.Next(ctx)
			if err != nil || task == nil {
				s.w.pause(s.w.now.Add(time.Second))
				continue
			}
			s.w.spawn("task", func() { task(ctx) })
		}
	})
	for i := range 2 {
		s.w.spawn(fmt.Sprintf("sender %d", i), func() {
			for {
				res, err := del.Step(ctx)
				if err != nil || res.Delivered == 0 {
					s.w.pause(s.w.now.Add(time.Second))
				}
				s.w.point()
			}
		})
	}
}
