package simulator

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Operation is what happened to a record.
type Operation int

// The operations of an Event.
const (
	Insert Operation = iota
	Update
	Delete
)

// String returns insert, update or delete.
func (o Operation) String() string {
	switch o {
	case Insert:
		return "insert"
	case Update:
		return "update"
	default:
		return "delete"
	}
}

// Event tells of one change of a record. Seq grows by one with every change.
type Event struct {
	Seq     uint64
	Op      Operation
	Table   string
	SysID   string
	Changed []string // the columns that an update changed
	Time    time.Time
}

// feed hands events to subscribers.
type feed struct {
	mu      sync.Mutex
	subs    map[int]chan Event
	next    int
	dropped uint64
	changed chan struct{} // closed and replaced at every change
}

func newFeed() *feed {
	return &feed{subs: map[int]chan Event{}, changed: make(chan struct{})}
}

func (f *feed) publish(events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
	for _, ev := range events {
		for _, c := range f.subs {
			select {
			case c <- ev:
			default:
				f.dropped++
			}
		}
	}
}

func (f *feed) heard() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs) > 0
}

func (f *feed) wait() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Subscribe returns a channel that receives every change from now on, and a
// function that ends it and closes the channel. Events that do not fit into the
// buffer are dropped and counted in Stats.EventsDropped; a gap shows in Seq.
func (in *Instance) Subscribe(buffer int) (events <-chan Event, cancel func()) {
	f := in.feed
	c := make(chan Event, max(buffer, 1))
	f.mu.Lock()
	id := f.next
	f.next++
	f.subs[id] = c
	f.mu.Unlock()
	return c, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, id)
		close(c)
	})
}

// Await returns when at least n records of table match an encoded query, or
// with an error when the context ends first or the table does not exist. It
// looks again at every change, so it needs no polling.
func (in *Instance) Await(ctx context.Context, table, encodedQuery string, n int) error {
	for {
		changed := in.feed.wait()
		got, err := in.Count(table, encodedQuery)
		if err != nil {
			return err
		}
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("await %d records of %s where %s, have %d: %w", n, table, encodedQuery, got, context.Cause(ctx))
		}
	}
}
