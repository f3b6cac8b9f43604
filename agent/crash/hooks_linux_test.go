package crash_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/queue"
)

// points are where an agent kills itself, each before and after.
func points() []string {
	names := []string{
		"queue.put", "queue.save", "queue.spool", "queue.mark.sent", "queue.mark.unsent", "queue.mark.seen",
		"intake.ready", "intake.processing", "intake.look", "intake.claim", "intake.settle", "intake.payload",
		"delivery.post", "delivery.find", "delivery.attach",
	}
	for _, m := range moves() {
		names = append(names, move(m[0], m[1]))
	}
	var both []string
	for _, n := range names {
		both = append(both, n+":before", n+":after")
	}
	return both
}

// moves are the transitions that a running agent makes on its way through the
// work of this test. Two of the table are not among them: from received to
// finished an operator's cancel must fall between a page's journaling and its
// claim, and from claimed to released a job must be taken away while it waits
// for a free worker. Both take the paths of their neighbours.
func moves() [][2]queue.State {
	return [][2]queue.State{
		{queue.Received, queue.Claimed},
		{queue.Received, queue.Released},
		{queue.Claimed, queue.Held},
		{queue.Claimed, queue.Started},
		{queue.Claimed, queue.Finished},
		{queue.Held, queue.Claimed},
		{queue.Held, queue.Finished},
		{queue.Held, queue.Released},
		{queue.Started, queue.Waiting},
		{queue.Started, queue.Finished},
		{queue.Waiting, queue.Started},
		{queue.Waiting, queue.Finished},
		{queue.Finished, queue.Delivered},
	}
}

func move(from, to queue.State) string { return fmt.Sprintf("queue.%v>%v", from, to) }

// hooks kill this process at a point.
type hooks struct {
	point string
	left  atomic.Int64
	hits  string
}

func newHooks(point, nth, hits string) (*hooks, error) {
	n, err := strconv.Atoi(nth)
	if err != nil {
		return nil, err
	}
	h := &hooks{point: point, hits: hits}
	h.left.Store(int64(n))
	return h, nil
}

func (h *hooks) before(name string) { h.pass(name + ":before") }
func (h *hooks) after(name string)  { h.pass(name + ":after") }

// pass kills this process when it is at its point. It does not return then.
func (h *hooks) pass(point string) {
	if point != h.point || h.left.Add(-1) != 0 {
		return
	}
	if err := os.WriteFile(h.hits, []byte(point), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	select {}
}

// around runs do between the two points of each name.
func (h *hooks) around(do func(), names ...string) {
	for _, n := range names {
		h.before(n)
	}
	do()
	for _, n := range names {
		h.after(n)
	}
}

func (h *hooks) queue(q queue.Queue) queue.Queue { return &hookedQueue{q, h} }

func (h *hooks) intake(i intake.Instance) intake.Instance { return &hookedIntake{i, h} }

func (h *hooks) delivery(d delivery.Instance) delivery.Instance { return &hookedDelivery{d, h} }

type hookedQueue struct {
	queue.Queue
	h *hooks
}

func (q *hookedQueue) Put(ctx context.Context, entries []queue.Entry) (n int, err error) {
	q.h.around(func() { n, err = q.Queue.Put(ctx, entries) }, "queue.put")
	return n, err
}

func (q *hookedQueue) Advance(ctx context.Context, list ...queue.Transition) (err error) {
	var names []string
	for _, t := range list {
		names = append(names, move(t.From, t.To))
	}
	q.h.around(func() { err = q.Queue.Advance(ctx, list...) }, names...)
	return err
}

func (q *hookedQueue) Mark(ctx context.Context, marks ...queue.Mark) (err error) {
	var names []string
	for _, m := range marks {
		switch {
		case !m.Sent.IsZero():
			names = append(names, "queue.mark.sent")
		case m.Unsent:
			names = append(names, "queue.mark.unsent")
		case m.ModCount > 0:
			names = append(names, "queue.mark.seen")
		}
	}
	q.h.around(func() { err = q.Queue.Mark(ctx, marks...) }, names...)
	return err
}

func (q *hookedQueue) Save(ctx context.Context, id queue.ID, state []byte) (err error) {
	q.h.around(func() { err = q.Queue.Save(ctx, id, state) }, "queue.save")
	return err
}

func (q *hookedQueue) Spool(ctx context.Context) (queue.Spool, error) {
	s, err := q.Queue.Spool(ctx)
	if err != nil {
		return s, err
	}
	return &hookedSpool{s, q.h}, nil
}

type hookedSpool struct {
	queue.Spool
	h *hooks
}

func (s *hookedSpool) Done() (out queue.Spooled, err error) {
	s.h.around(func() { out, err = s.Spool.Done() }, "queue.spool")
	return out, err
}

type hookedIntake struct {
	intake.Instance
	h *hooks
}

func (i *hookedIntake) Ready(ctx context.Context, offset, limit int) (page []ecc.Message, last bool, err error) {
	i.h.around(func() { page, last, err = i.Instance.Ready(ctx, offset, limit) }, "intake.ready")
	return page, last, err
}

func (i *hookedIntake) Processing(ctx context.Context, after string, limit int) (page []ecc.Message, err error) {
	i.h.around(func() { page, err = i.Instance.Processing(ctx, after, limit) }, "intake.processing")
	return page, err
}

func (i *hookedIntake) Look(ctx context.Context, ids []string) (found map[string]intake.Standing, err error) {
	i.h.around(func() { found, err = i.Instance.Look(ctx, ids) }, "intake.look")
	return found, err
}

func (i *hookedIntake) Claim(ctx context.Context, ids []string) (err error) {
	i.h.around(func() { err = i.Instance.Claim(ctx, ids) }, "intake.claim")
	return err
}

func (i *hookedIntake) Settle(ctx context.Context, ids []string) (err error) {
	i.h.around(func() { err = i.Instance.Settle(ctx, ids) }, "intake.settle")
	return err
}

func (i *hookedIntake) Payload(ctx context.Context, id string) (text string, err error) {
	i.h.around(func() { text, err = i.Instance.Payload(ctx, id) }, "intake.payload")
	return text, err
}

type hookedDelivery struct {
	delivery.Instance
	h *hooks
}

func (d *hookedDelivery) Post(ctx context.Context, list []ecc.Message) (out []delivery.Receipt) {
	d.h.around(func() { out = d.Instance.Post(ctx, list) }, "delivery.post")
	return out
}

func (d *hookedDelivery) Find(ctx context.Context, keys []delivery.Key) (found map[delivery.Key][]string, err error) {
	d.h.around(func() { found, err = d.Instance.Find(ctx, keys) }, "delivery.find")
	return found, err
}

func (d *hookedDelivery) Attach(ctx context.Context, id, name string, size int64, body func() (io.ReadCloser, error)) (file string, err error) {
	d.h.around(func() { file, err = d.Instance.Attach(ctx, id, name, size, body) }, "delivery.attach")
	return file, err
}
