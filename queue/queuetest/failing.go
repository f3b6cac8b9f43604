package queuetest

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// Failing returns q with calls that fail where fail returns an error: the call
// returns that error and has had no effect, as on a full disk. fail is asked
// with the call's name before each call, from whatever goroutine makes it:
//
//	put, advance, mark, save, spool, spool write, spool done, lease, get, open,
//	known, undelivered, unfinished, list, quarantined, health, forget, close
//
// Calls that cannot fail (Unlease, Changed, NextDue, Counts) go through.
func Failing(q queue.Queue, fail func(op string) error) queue.Queue {
	return &failing{q: q, before: fail, after: never}
}

// FailingAfter is Failing, but a call that fails has had its effect before, as
// one whose answer was lost; the caller gets nothing but the error. A call that
// fails by itself returns its own error, and fail is not asked.
func FailingAfter(q queue.Queue, fail func(op string) error) queue.Queue {
	return &failing{q: q, before: never, after: fail}
}

func never(string) error { return nil }

type failing struct {
	q             queue.Queue
	before, after func(op string) error
}

// around makes a call that may be made to fail before or after its effect.
func around[T any](f *failing, op string, call func() (T, error)) (T, error) {
	var none T
	if err := f.before(op); err != nil {
		return none, err
	}
	got, err := call()
	if err != nil {
		return got, err
	}
	if err := f.after(op); err != nil {
		return none, err
	}
	return got, nil
}

// only makes a call that returns nothing but an error.
func (f *failing) only(op string, call func() error) error {
	_, err := around(f, op, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (f *failing) Put(ctx context.Context, entries []queue.Entry) (int, error) {
	return around(f, "put", func() (int, error) { return f.q.Put(ctx, entries) })
}

func (f *failing) Advance(ctx context.Context, moves ...queue.Transition) error {
	return f.only("advance", func() error { return f.q.Advance(ctx, moves...) })
}

func (f *failing) Mark(ctx context.Context, marks ...queue.Mark) error {
	return f.only("mark", func() error { return f.q.Mark(ctx, marks...) })
}

func (f *failing) Save(ctx context.Context, id queue.ID, state []byte) error {
	return f.only("save", func() error { return f.q.Save(ctx, id, state) })
}

func (f *failing) Spool(ctx context.Context) (queue.Spool, error) {
	return around(f, "spool", func() (queue.Spool, error) {
		s, err := f.q.Spool(ctx)
		if err != nil {
			return nil, err
		}
		return &failingSpool{f: f, s: s}, nil
	})
}

func (f *failing) Lease(ctx context.Context, free queue.Free) (*queue.Job, error) {
	return around(f, "lease", func() (*queue.Job, error) { return f.q.Lease(ctx, free) })
}

func (f *failing) Unlease(id queue.ID)      { f.q.Unlease(id) }
func (f *failing) Changed() <-chan struct{} { return f.q.Changed() }
func (f *failing) NextDue() time.Time       { return f.q.NextDue() }
func (f *failing) Counts() queue.Counts     { return f.q.Counts() }

func (f *failing) Get(ctx context.Context, id queue.ID) (queue.Job, error) {
	return around(f, "get", func() (queue.Job, error) { return f.q.Get(ctx, id) })
}

func (f *failing) Open(ctx context.Context, id queue.ID, part queue.Part) (io.ReadCloser, error) {
	if err := f.before("open"); err != nil {
		return nil, err
	}
	body, err := f.q.Open(ctx, id, part)
	if err != nil {
		return nil, err
	}
	if err := f.after("open"); err != nil {
		_ = body.Close() // the caller never sees it
		return nil, err
	}
	return body, nil
}

func (f *failing) Known(ctx context.Context, instance string, sysIDs []string) (map[string]queue.Seen, error) {
	return around(f, "known", func() (map[string]queue.Seen, error) { return f.q.Known(ctx, instance, sysIDs) })
}

func (f *failing) Undelivered(ctx context.Context, limit int) ([]queue.Job, error) {
	return around(f, "undelivered", func() ([]queue.Job, error) { return f.q.Undelivered(ctx, limit) })
}

func (f *failing) Unfinished(ctx context.Context) iter.Seq2[queue.Job, error] {
	return loop(f, "unfinished", f.q.Unfinished(ctx))
}

func (f *failing) List(ctx context.Context) iter.Seq2[queue.Job, error] {
	return loop(f, "list", f.q.List(ctx))
}

func (f *failing) Quarantined(ctx context.Context) iter.Seq2[string, error] {
	return loop(f, "quarantined", f.q.Quarantined(ctx))
}

// loop is a loop that may be made to fail at its beginning or at its end.
func loop[T any](f *failing, op string, items iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := f.before(op); err != nil {
			yield(none, err)
			return
		}
		for item, err := range items {
			if !yield(item, err) {
				return
			}
		}
		if err := f.after(op); err != nil {
			yield(none, err)
		}
	}
}

func (f *failing) Health(ctx context.Context) error {
	return f.only("health", func() error { return f.q.Health(ctx) })
}

func (f *failing) Forget(ctx context.Context, before time.Time) (int, error) {
	return around(f, "forget", func() (int, error) { return f.q.Forget(ctx, before) })
}

func (f *failing) Close() error { return f.only("close", f.q.Close) }

// failingSpool is a spool of a failing queue.
type failingSpool struct {
	f *failing
	s queue.Spool
}

func (s *failingSpool) Write(p []byte) (int, error) {
	return around(s.f, "spool write", func() (int, error) { return s.s.Write(p) })
}

func (s *failingSpool) Done() (queue.Spooled, error) {
	return around(s.f, "spool done", s.s.Done)
}

func (s *failingSpool) Discard() error { return s.s.Discard() }
