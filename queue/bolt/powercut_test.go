package bolt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"unsafe"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/queue"
)

var (
	powerCuts = flag.Int("powercuts", 1500, "how many images of a power cut are opened")
	powerSeed = flag.Uint64("powerseed", 1, "the seed of the images")
)

// A recorder keeps what a store writes, in the order in which it writes it.
// bbolt writes the pages of a transaction, syncs, writes one meta page, syncs:
// so writes between two meta pages can be lost, torn and reordered among each
// other, and a meta page alone.
type recorder struct {
	mu     sync.Mutex
	base   []byte
	events []writeEvent
	files  []fileEvent
	acks   []ack
	tries  []ack
}

type writeEvent struct {
	off  int64
	data []byte
	size int64 // of the file
}

type fileEvent struct {
	name string
	data []byte // nil: removed
	at   int
}

type ack struct {
	id    queue.ID
	state queue.State
	at    int // how many writes came before
}

func (r *recorder) attach(t *testing.T, s *Store) {
	t.Helper()
	r.base = read(t, s.path)
	// bbolt has no hook for its writes that is exported; its own tests set this
	// field too.
	field := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	hook := (*func([]byte, int64) (int, error))(unsafe.Pointer(field.UnsafeAddr()))
	write := *hook
	*hook = func(b []byte, off int64) (int, error) {
		n, err := write(b, off)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, writeEvent{off, bytes.Clone(b), s.fileSize()})
		return n, err
	}
	s.files.trace = func(event, name string) {
		var data []byte
		if event == "named" {
			data = read(t, s.files.path(name))
		} else if event != "removed" {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.files = append(r.files, fileEvent{name, data, len(r.events)})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return b
}

// do notes a call before it is made, and again when it was acknowledged.
func (r *recorder) do(t *testing.T, id queue.ID, state queue.State, call func() error) {
	t.Helper()
	r.mu.Lock()
	r.tries = append(r.tries, ack{id, state, len(r.events)})
	r.mu.Unlock()
	if err := call(); err != nil {
		t.Error(err)
		return
	}
	r.mu.Lock()
	r.acks = append(r.acks, ack{id, state, len(r.events)})
	r.mu.Unlock()
}

const powerWorkers, powerJobs = 6, 15

func powerMessage(n int) []byte {
	size := 40 + n*31%3000
	if n%7 == 0 {
		size += inlineBytes
	}
	return bytes.Repeat([]byte{byte(n)}, size)
}

// recordLife runs a busy little agent over a store.
func recordLife(t *testing.T) *recorder {
	t.Helper()
	opts := testOptions(t.TempDir())
	opts.KeepOutcomes = 5
	s := mustOpen(t, opts)
	r := &recorder{}
	r.attach(t, s)
	flat(powerWorkers, func(w int) {
		for k := range powerJobs {
			n := w*powerJobs + k
			e := testEntry(n, powerMessage(n))
			id := e.Job.ID
			r.do(t, id, queue.Received, func() error { _, err := s.Put(t.Context(), []queue.Entry{e}); return err })
			for _, m := range [][2]queue.State{
				{queue.Received, queue.Claimed},
				{queue.Claimed, queue.Started},
				{queue.Started, queue.Finished},
				{queue.Finished, queue.Delivered},
			} {
				if m[1] == queue.Delivered && n%3 == 0 {
					break
				}
				if m[1] == queue.Finished {
					r.do(t, id, queue.Started, func() error { return s.Save(t.Context(), id, powerMessage(n)) })
				}
				r.do(t, id, m[1], func() error { return s.Advance(t.Context(), move(id, m[0], m[1])) })
			}
		}
	})
	return r
}

// epochs returns where each group of writes between two syncs begins.
func (r *recorder) epochs() []int {
	begins := []int{0}
	for i, e := range r.events {
		if e.off < 2*4096 { // a meta page: an epoch of its own
			begins = append(begins, i, i+1)
		}
	}
	return begins
}

// image makes the disk as a power cut in the epoch between begin and end could
// leave it.
func (r *recorder) image(t *testing.T, rng *rand.Rand, dir string, begin, end int) {
	t.Helper()
	img := bytes.Clone(r.base)
	apply := func(e writeEvent, data []byte) {
		if grow := e.size - int64(len(img)); grow > 0 {
			img = append(img, make([]byte, grow)...)
		}
		copy(img[e.off:], data)
	}
	for _, e := range r.events[:begin] {
		apply(e, e.data)
	}
	flying := r.events[begin:end]
	for _, i := range rng.Perm(len(flying)) {
		e := flying[i]
		switch rng.IntN(3) {
		case 0: // lost
		case 1: // there
			apply(e, e.data)
		case 2: // torn between sectors
			for at := 0; at < len(e.data); at += 512 {
				if rng.IntN(2) == 0 {
					apply(writeEvent{off: e.off + int64(at), size: e.size}, e.data[at:min(at+512, len(e.data))])
				}
			}
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "bodies"), 0o700))
	must(os.WriteFile(filepath.Join(dir, fileName), img, 0o600))
	for _, f := range r.files {
		path := filepath.Join(dir, "bodies", f.name)
		switch {
		case f.data != nil && f.at <= begin: // named and synced
			must(os.WriteFile(path, f.data, 0o600))
		case f.data != nil && f.at <= end && rng.IntN(2) == 0:
			must(os.WriteFile(path, f.data[:rng.IntN(len(f.data)+1)], 0o600))
		case f.data == nil && f.at <= begin && rng.IntN(2) == 0: // a removal may be lost
			_ = os.Remove(path)
		}
	}
}

// TestEveryAcknowledgedStateSurvivesAPowerCut cuts the trace of a busy store
// at every sync, loses, tears and reorders what was under way, and opens the
// image: every acknowledged transition must be there, and nothing else.
func TestEveryAcknowledgedStateSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	r := recordLife(t)
	if t.Failed() {
		return
	}
	begins := r.epochs()
	t.Logf("%d writes, %d syncs, %d acknowledged calls", len(r.events), len(begins), len(r.acks))
	dir := fastDir(t)
	flat(2, func(worker int) {
		for i := worker; i < *powerCuts; i += 2 {
			if t.Failed() {
				return
			}
			rng := rand.New(rand.NewPCG(*powerSeed, uint64(i)))
			k := rng.IntN(len(begins))
			begin, end := begins[k], len(r.events)
			if k+1 < len(begins) {
				end = begins[k+1]
			}
			image := filepath.Join(dir, fmt.Sprint(i))
			r.image(t, rng, image, begin, end)
			r.checkImage(t, image, begin, end, fmt.Sprintf("-powerseed %d, image %d, writes %d to %d", *powerSeed, i, begin, end))
			_ = os.RemoveAll(image)
		}
	})
}

// fastDir is a folder in memory where there is one: the images are not to
// survive anything.
func fastDir(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "powercut"); err == nil { //nolint:usetesting // t.TempDir is on a disk, which syncs
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

func (r *recorder) checkImage(t *testing.T, dir string, begin, end int, name string) {
	t.Helper()
	opts := testOptions(dir)
	opts.KeepOutcomes = 5
	s, err := Open(t.Context(), opts)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer s.Close()
	low, high := map[queue.ID]queue.State{}, map[queue.ID]queue.State{}
	for _, a := range r.acks {
		if a.at <= begin {
			low[a.id] = max(low[a.id], a.state)
		}
	}
	for _, a := range r.tries {
		if a.at <= end {
			high[a.id] = max(high[a.id], a.state)
		}
	}
	for n := range powerWorkers * powerJobs {
		id := testEntry(n, nil).Job.ID
		j, err := s.Get(t.Context(), id)
		if errors.Is(err, queue.ErrNotFound) && low[id] == 0 {
			continue
		}
		if st := j.Status.State; err != nil || st < low[id] || st > high[id] {
			t.Errorf("%s: %s is %s, acknowledged was %s, tried %s: %v", name, id, st, low[id], high[id], err)
			return
		}
		if !j.Status.State.Final() && !bytes.Equal(body(t, s, id, queue.Message), powerMessage(n)) {
			t.Errorf("%s: %s has another message", name, id)
		}
	}
	r.checkWhole(t, s, name)
}

// checkWhole looks for anything that is broken, leaks or does not add up.
func (r *recorder) checkWhole(t *testing.T, s *Store, name string) {
	t.Helper()
	states := map[queue.State]int{}
	for j, err := range s.Unfinished(t.Context()) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		states[j.Status.State]++
	}
	if c := s.Counts(); !reflect.DeepEqual(c.States, states) {
		t.Errorf("%s: counts %v, there are %v", name, c.States, states)
	}
	leased := 0
	for {
		j, err := s.Lease(t.Context(), anySlot)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if j == nil {
			break
		}
		leased++
	}
	if leased != states[queue.Claimed] {
		t.Errorf("%s: %d jobs leased, %d are claimed", name, leased, states[queue.Claimed])
	}
	if jobs, err := s.Undelivered(t.Context(), 1000); err != nil || len(jobs) != states[queue.Finished] {
		t.Errorf("%s: %d undelivered, %d are finished: %v", name, len(jobs), states[queue.Finished], err)
	}
	_ = s.view("check", func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("%s: %v", name, err)
		}
		return nil
	})
	if _, err := s.Put(t.Context(), []queue.Entry{testEntry(1_000_000, nil)}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
