package servicenow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const batchPath = "/api/now/v1/batch"

// Response is what became of one Request of a batch.
type Response struct {
	// Record is as Client.Do returns it.
	Record Record
	// Err is nil for a success; its kinds mean the same as those of Client.Do.
	Err error
}

// Batch sends requests together and returns a response for each, in their order.
//
// Requests are packed into as few batches as the bounds allow: MaxBatchBytes,
// and a number of items that falls when the instance does not get through (it
// gives a whole batch 30 seconds) and rises again afterwards. A request that is
// too large for a batch is sent alone; so are all of them, several at a time,
// while the instance refuses batches. The requests of one batch are carried out
// one after the other, and none undoes another.
//
// The error is nil when any request was answered, and otherwise what kept all of
// them from it; then every response holds an error too. What no longer was sent
// after a failure has an error of kind fault.Unavailable.
//
// Source: "Batch API" of the ServiceNow documentation.
func (c *Client) Batch(ctx context.Context, reqs []Request) ([]Response, error) {
	b := &batchRun{c: c, reqs: reqs, out: make([]Response, len(reqs))}
	for i := range reqs {
		if err := reqs[i].err; err != nil {
			b.out[i].Err = err
			continue
		}
		b.todo = append(b.todo, i)
	}
	var first error
	answered := false
	for len(b.todo) > 0 {
		err := b.step(ctx)
		if err == nil {
			answered = true
			continue
		}
		first = err
		b.abandon(err)
	}
	if answered || first == nil {
		return b.out, nil
	}
	return b.out, first
}

// batchRun is the state of one call of Batch.
type batchRun struct {
	c    *Client
	reqs []Request
	out  []Response
	todo []int // indexes that have no response yet, in order
}

// step disposes of at least one request, or returns the error that keeps all from
// being answered.
func (b *batchRun) step(ctx context.Context) error {
	if b.c.conf.NoBatch || b.c.batch.refused() {
		b.singles(ctx, b.todo)
		b.todo = nil
		return nil
	}
	chunk := b.chunk()
	if len(chunk) == 1 {
		i := chunk[0]
		b.out[i].Record, b.out[i].Err = b.c.Do(ctx, b.reqs[i])
		b.todo = b.todo[1:]
		return nil
	}
	began := time.Now()
	retry, err := b.send(ctx, chunk)
	if retry {
		return nil
	}
	b.todo = b.todo[len(chunk):]
	b.c.batch.learn(len(chunk), b.unserviced(chunk), time.Since(began))
	return err
}

// chunk returns the next requests that fit into one batch together.
func (b *batchRun) chunk() []int {
	most, bytes := b.c.batch.bounds()
	size := batchHead
	for n, i := range b.todo {
		size += itemSize(&b.reqs[i])
		if n > 0 && (size > bytes || n >= most) {
			return b.todo[:n]
		}
	}
	return b.todo
}

// send sends one batch. retry says that it surely had no effect and that the
// requests are to be sent in another way.
func (b *batchRun) send(ctx context.Context, chunk []int) (retry bool, err error) {
	id := rand.Text()
	k := call{
		attempt: attempt{op: "send batch", subject: fmt.Sprintf("of %d to %s", len(chunk), b.c.Host()), write: true},
		method:  http.MethodPost, path: batchPath, kind: jsonType, body: encodeBatch(id, b.reqs, chunk),
	}
	answer, err := b.c.do(ctx, k)
	if err != nil {
		if b.c.batch.refuses(err) {
			b.c.conf.Log.Info("instance refuses batches, sending single requests", "instance", b.c.Host(), "error", err)
			return true, nil
		}
		if isTooLarge(err) && fault.KindOf(err) == fault.Invalid {
			b.c.batch.shrink(len(chunk))
			return true, nil
		}
		for _, i := range chunk {
			b.out[i].Err = b.openFor(i, err)
		}
		return false, err
	}
	items, failure := parseBatch(answer.body, id, len(chunk))
	for n, i := range chunk {
		b.out[i] = b.response(ctx, i, items[n], failure)
	}
	b.markInterrupted(chunk, items)
	return false, nil
}

// openFor gives a failure of the whole batch to one of its requests. A read has
// no effect that could be unknown.
func (b *batchRun) openFor(i int, err error) error {
	r := &b.reqs[i]
	kind := fault.KindOf(err)
	if kind == fault.Unknown && !r.write() {
		kind = fault.Unavailable
	}
	a := r.attempt(b.c)
	e := fault.New(kind, a.op, a.subject, err).WithHint(fault.HintOf(err))
	e.RetryAfter = fault.RetryAfterOf(err)
	return e
}

// response turns an item of the answer into a response.
func (b *batchRun) response(ctx context.Context, i int, it batchItem, failure error) Response {
	r := &b.reqs[i]
	a := r.attempt(b.c)
	switch it.state {
	case itemServiced:
		if err := a.status(it.status, it.header(), it.body); err != nil {
			return Response{Err: err}
		}
		rec, err := b.c.result(ctx, a, r, reply{status: it.status, body: it.body})
		return Response{rec, err}
	case itemUnserviced:
		return Response{Err: a.fail(fault.Unavailable, &AnswerError{Cause: ErrUnserviced}, "send it again; smaller batches follow by themselves")}
	default:
		e := &AnswerError{Cause: ErrBatchAnswer}
		if failure != nil {
			e.Message = clean(failure.Error())
		}
		return Response{Err: a.fail(a.open(), e, "look whether the instance carried it out before sending it again")}
	}
}

// markInterrupted makes the first unserviced write unknown: the quota may have
// ended the batch in the middle of it. Those behind it were not begun, because an
// instance carries the requests of a batch out in order.
func (b *batchRun) markInterrupted(chunk []int, items []batchItem) {
	for n, i := range chunk {
		if items[n].state != itemUnserviced {
			continue
		}
		if b.reqs[i].write() {
			a := b.reqs[i].attempt(b.c)
			b.out[i].Err = a.fail(fault.Unknown, &AnswerError{Cause: ErrUnserviced},
				"look whether the instance carried it out before sending it again")
		}
		return
	}
}

func (b *batchRun) unserviced(chunk []int) int {
	n := 0
	for _, i := range chunk {
		if err := b.out[i].Err; err != nil && errors.Is(err, ErrUnserviced) {
			n++
		}
	}
	return n
}

// abandon gives what was not sent an error that says so.
func (b *batchRun) abandon(cause error) {
	kind := fault.KindOf(cause)
	if kind == fault.Unknown {
		kind = fault.Unavailable
	}
	for _, i := range b.todo {
		a := b.reqs[i].attempt(b.c)
		e := fault.New(kind, a.op, a.subject, errors.New("not sent after an earlier failure: "+cause.Error()))
		e.Hint, e.RetryAfter = fault.HintOf(cause), fault.RetryAfterOf(cause)
		b.out[i].Err = e
	}
	b.todo = nil
}

// singles sends requests one by one, several at a time. One slot stays free for
// polling.
func (b *batchRun) singles(ctx context.Context, todo []int) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(len(todo), max(b.c.conf.MaxParallel-1, 1)) {
		wg.Go(func() {
			for i := range next {
				b.out[i].Record, b.out[i].Err = b.c.Do(ctx, b.reqs[i])
			}
		})
	}
	for _, i := range todo {
		next <- i
	}
	close(next)
	wg.Wait()
}
