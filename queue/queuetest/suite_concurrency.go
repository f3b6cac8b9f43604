package queuetest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

func concurrencyChecks() []check {
	return []check{
		{"many lives at once", manyLives},
		{"one of many puts adds", onePutAdds},
		{"one of many moves wins", oneMoveWins},
		{"a conflict fails alone", conflictAlone},
		{"readers beside writers", readersBeside},
	}
}

func all(queue.Slot) bool { return true }

// lives takes jobs through their lives from many goroutines.
type lives struct {
	s         *store
	mu        sync.Mutex
	held      map[queue.ID]bool // by one of the workers
	delivered map[queue.ID]int
	jobs      int
	done      chan struct{} // closed when every job was delivered
}

// manyLives: producers, workers and senders, each several; no job is with two
// workers, and each is delivered once with its own bodies.
func manyLives(s *store) {
	const producers, workers, senders, each = 3, 6, 2, 40
	l := &lives{
		s: s, held: map[queue.ID]bool{}, delivered: map[queue.ID]int{}, jobs: producers * each, done: make(chan struct{}),
	}
	entries := make([]queue.Entry, l.jobs)
	for i := range entries {
		entries[i] = s.entry(func(j *queue.Job) { j.Lane = strconv.Itoa(i % 5) })
	}
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() { l.run(func() error { return l.produce(entries[i*each : (i+1)*each]) }) })
	}
	for range workers {
		all.Go(func() { l.run(l.work) })
	}
	for range senders {
		all.Go(func() { l.run(l.send) })
	}
	all.Wait()
	for id, n := range l.delivered {
		j := s.get(id)
		if n != 1 || j.Status.State != queue.Delivered || j.Status.Attempt != 2 {
			s.t.Errorf("%s was delivered %d times, is %s after %d attempts", id, n, j.Status.State, j.Status.Attempt)
		}
	}
	s.same("delivered jobs", len(l.delivered), l.jobs)
	s.same("delivered by the counts", s.Counts().Delivered, uint64(l.jobs))
}

// run reports the error that ended a goroutine and ends the others with it.
func (l *lives) run(body func() error) {
	if err := body(); err != nil {
		l.s.t.Error(err)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.end()
	}
}

// end closes done once. The caller holds the lock.
func (l *lives) end() {
	if !l.ended() {
		close(l.done)
	}
}

func (l *lives) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (l *lives) produce(entries []queue.Entry) error {
	for _, e := range entries {
		if added, err := l.s.Put(l.s.ctx, []queue.Entry{e}); err != nil || added != 1 {
			return fmt.Errorf("put %s: %d added, %w", e.Job.ID, added, err)
		}
		if err := l.s.Advance(l.s.ctx, l.s.move(e.Job.ID, queue.Received, queue.Claimed)); err != nil {
			return fmt.Errorf("claim: %w", err)
		}
	}
	return nil
}

func (l *lives) work() error {
	for {
		changed := l.s.Changed()
		j, err := l.s.Lease(l.s.ctx, all)
		if err != nil {
			return fmt.Errorf("lease: %w", err)
		}
		if j == nil {
			select {
			case <-changed:
				continue
			case <-l.done:
				return nil
			case <-time.After(30 * time.Second):
				return errors.New("no job and no change for 30 s, though not all were delivered")
			}
		}
		if err := l.attempt(*j); err != nil {
			return err
		}
	}
}

// attempt makes one of a job's two attempts: the first saves, the second reads
// what was saved and finishes.
func (l *lives) attempt(j queue.Job) error {
	if err := l.hold(j.ID, true); err != nil {
		return err
	}
	if err := l.s.Advance(l.s.ctx, l.s.move(j.ID, j.Status.State, queue.Started)); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	saved := []byte("saved by " + j.ID)
	end := l.s.move(j.ID, queue.Started, queue.Waiting)
	if j.Status.State == queue.Claimed {
		if err := l.s.Save(l.s.ctx, j.ID, saved); err != nil {
			return fmt.Errorf("save: %w", err)
		}
		end.Until = end.At
	} else {
		end = l.s.move(j.ID, queue.Started, queue.Finished)
		if err := l.expect(j.ID, queue.Saved, saved); err != nil {
			return err
		}
	}
	if err := l.hold(j.ID, false); err != nil {
		return err
	}
	if err := l.s.Advance(l.s.ctx, end); err != nil {
		return fmt.Errorf("end the attempt: %w", err)
	}
	return nil
}

// hold notes that a worker has a job, or has it no more.
func (l *lives) hold(id queue.ID, held bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[id] == held {
		return fmt.Errorf("%s was leased twice", id)
	}
	l.held[id] = held
	return nil
}

func (l *lives) expect(id queue.ID, part queue.Part, want []byte) error {
	r, err := l.s.Open(l.s.ctx, id, part)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { _ = r.Close() }() // it was only read
	got, err := io.ReadAll(r)
	if err != nil || string(got) != string(want) {
		return fmt.Errorf("%s: part %d holds %.60q, want %.60q; %w", id, part, got, want, err)
	}
	return nil
}

// send delivers what is finished; the other sender may have been faster.
func (l *lives) send() error {
	for !l.ended() {
		jobs, err := l.s.Undelivered(l.s.ctx, 5)
		if err != nil {
			return fmt.Errorf("undelivered: %w", err)
		}
		for _, j := range jobs {
			if err := l.deliver(j); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lives) deliver(j queue.Job) error {
	bodyErr := l.expect(j.ID, queue.Outcome, []byte("outcome of "+j.ID))
	err := l.s.Advance(l.s.ctx, l.s.move(j.ID, queue.Finished, queue.Delivered))
	if errors.Is(err, queue.ErrConflict) {
		return nil
	}
	if err = errors.Join(err, bodyErr); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivered[j.ID]++
	if len(l.delivered) == l.jobs {
		l.end()
	}
	return nil
}

func onePutAdds(s *store) {
	var entries []queue.Entry
	for range 30 {
		entries = append(entries, s.entry(nil))
	}
	var added atomic.Int64
	var putters sync.WaitGroup
	for range 6 {
		putters.Go(func() {
			for i := 0; i < len(entries); i += 3 {
				n, err := s.Put(s.ctx, entries[i:i+3])
				if err != nil {
					s.t.Errorf("put: %v", err)
				}
				added.Add(int64(n))
			}
		})
	}
	putters.Wait()
	s.same("added by all together", added.Load(), int64(len(entries)))
	s.same("jobs", len(s.ids(s.List(s.ctx))), len(entries))
}

func oneMoveWins(s *store) {
	for range 10 {
		j := s.in(queue.Claimed, nil)
		var won atomic.Int64
		var movers sync.WaitGroup
		for i := range 8 {
			m := s.move(j.ID, queue.Claimed, []queue.State{queue.Started, queue.Released}[i%2])
			movers.Go(func() {
				switch err := s.Advance(s.ctx, m); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, queue.ErrConflict):
					s.t.Errorf("advance: %v", err)
				}
			})
		}
		movers.Wait()
		s.same("moves that were made", won.Load(), int64(1))
	}
}

// conflictAlone: calls that are committed together do not share their fate.
func conflictAlone(s *store) {
	var calls sync.WaitGroup
	bad := s.in(queue.Delivered, nil)
	var want []queue.ID
	for i := range 60 {
		if i%3 == 0 {
			m := s.move(bad.ID, queue.Finished, queue.Delivered)
			calls.Go(func() { expectConflict(s.t, s.Advance(s.ctx, m)) })
			continue
		}
		j := s.put(nil)
		m := s.move(j.ID, queue.Received, queue.Claimed)
		want = append(want, j.ID)
		calls.Go(func() {
			if err := s.Advance(s.ctx, m); err != nil {
				s.t.Errorf("a good move beside bad ones: %v", err)
			}
		})
	}
	calls.Wait()
	s.reopen()
	for _, id := range want {
		s.same("the state", s.get(id).Status.State, queue.Claimed)
	}
	s.same("the other job", s.get(bad.ID), bad)
}

func expectConflict(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, queue.ErrConflict) {
		t.Errorf("a bad move beside good ones: %v", err)
	}
}

// readersBeside reads in every way while jobs go through their lives. What is
// read must be whole: a finished job has a result.
func readersBeside(s *store) {
	entries := make([]queue.Entry, 60)
	ask := make([]string, len(entries))
	for i := range entries {
		entries[i] = s.entry(nil)
		ask[i] = entries[i].Job.SysID
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.readAll(ask)
				}
			}
		})
	}
	defer readers.Wait()
	defer close(stop)
	for _, e := range entries {
		s.putEntries(1, e)
		s.bring(e.Job, queue.Delivered)
	}
}

func (s *store) readAll(ask []string) {
	whole := func(j queue.Job) {
		st := j.Status
		over := st.State == queue.Finished || st.State == queue.Delivered
		if over != (st.Result != queue.NoResult) {
			s.t.Errorf("%s is %s with result %q", j.ID, st.State, st.Result)
		}
	}
	for _, loop := range []func(func(queue.Job, error) bool){s.List(s.ctx), s.Unfinished(s.ctx)} {
		for j, err := range loop {
			if err != nil {
				s.t.Errorf("loop: %v", err)
				return
			}
			whole(j)
		}
	}
	seen, err := s.Known(s.ctx, "prod", ask)
	if err != nil {
		s.t.Errorf("known: %v", err)
	}
	for _, k := range seen {
		whole(k.Job)
	}
	if _, err := s.Undelivered(s.ctx, 100); err != nil {
		s.t.Errorf("undelivered: %v", err)
	}
	for state, n := range s.Counts().States {
		if n < 0 || state.Final() {
			s.t.Errorf("%d jobs are counted as %s", n, state)
		}
	}
}
