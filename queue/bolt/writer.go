package bolt

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Bounds of one transaction: more waits for the next one.
const (
	maxBatchOps   = 4096
	maxBatchBytes = 32 << 20
)

// op is one call that waits to be written. Its do runs in the writer's
// transaction: it validates everything before it changes anything, so that an
// error leaves no trace, and may run again where a neighbour's failure made the
// transaction start anew.
type op struct {
	name  string
	do    func(*txn) error
	size  int
	grows bool // takes new work: refused while the disk is nearly full
	taken atomic.Bool
	err   error
	done  chan struct{}
}

// writer is the one goroutine that writes. It takes everything that waits and
// commits it in one transaction; what comes meanwhile is the next one.
type writer struct {
	mu      sync.Mutex
	waiting []*op
	closed  bool
	wake    chan struct{}
	gone    chan struct{}
}

func (w *writer) start(s *Store) {
	w.wake, w.gone = make(chan struct{}, 1), make(chan struct{})
	go w.loop(s) // ended and awaited by stop
}

func (w *writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// stop lets what waits be written, and reports whether this call stopped it.
func (w *writer) stop() bool {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.gone
	return first
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// submit waits until the operation is durable. A context that ends before the
// writer took it withdraws it; later its effect is unknown.
func (s *Store) submit(ctx context.Context, o *op) error {
	if err := context.Cause(ctx); err != nil {
		return fault.New(fault.Canceled, o.name, "", err)
	}
	o.done = make(chan struct{})
	w := &s.writer
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return closed(o.name)
	}
	w.waiting = append(w.waiting, o)
	first := len(w.waiting) == 1
	w.mu.Unlock()
	if first {
		w.signal()
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
	}
	if o.taken.CompareAndSwap(false, true) {
		return fault.New(fault.Canceled, o.name, "", context.Cause(ctx))
	}
	select {
	case <-o.done:
		return o.err
	default:
		return fault.New(fault.Unknown, o.name, "", fmt.Errorf("the write was under way: %w", context.Cause(ctx))).
			WithHint("look at the job again; the write may have happened")
	}
}

func (w *writer) loop(s *Store) {
	defer close(w.gone)
	debug.SetPanicOnFault(true)
	for {
		<-w.wake
		// Callers that the last commit released get to queue their next call.
		runtime.Gosched()
		for batch := w.take(); len(batch) > 0; batch = w.take() {
			s.write(batch)
			for _, o := range batch {
				close(o.done)
			}
			s.fillAhead()
			runtime.Gosched()
		}
		if w.isClosed() && w.idle() {
			return
		}
	}
}

func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) == 0
}

// take returns the next batch, without what was withdrawn.
func (w *writer) take() []*op {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := 0, 0
	for n < len(w.waiting) && n < maxBatchOps && (n == 0 || size+w.waiting[n].size <= maxBatchBytes) {
		size += w.waiting[n].size
		n++
	}
	taken := w.waiting[:n:n]
	w.waiting = w.waiting[n:]
	if len(w.waiting) == 0 {
		w.waiting = nil
	}
	batch := taken[:0]
	for _, o := range taken {
		if o.taken.CompareAndSwap(false, true) {
			batch = append(batch, o)
		}
	}
	if len(batch) == 0 && len(w.waiting) > 0 {
		w.signal()
	}
	return batch
}
