package bolt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func TestAJobSurvivesReopening(t *testing.T) {
	t.Parallel()
	opts := testOptions(t.TempDir())
	s := mustOpen(t, opts)
	large := bytes.Repeat([]byte("large "), 50_000)
	e := testEntry(1, large)
	put(t, s, e)
	toState(t, s, e.Job.ID, queue.Claimed, queue.Started)
	if err := s.Save(t.Context(), e.Job.ID, []byte("saved")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, opts)
	j, err := s.Get(t.Context(), e.Job.ID)
	if err != nil || j.Status.State != queue.Started || j.Status.Attempt != 1 {
		t.Fatalf("got %+v, %v", j.Status, err)
	}
	if got := body(t, s, e.Job.ID, queue.Message); !bytes.Equal(got, large) {
		t.Errorf("the message has %d bytes, want %d", len(got), len(large))
	}
	if got := body(t, s, e.Job.ID, queue.Saved); string(got) != "saved" {
		t.Errorf("saved state %q", got)
	}
	advance(t, s, move(e.Job.ID, queue.Started, queue.Finished))
	advance(t, s, move(e.Job.ID, queue.Finished, queue.Delivered))
	left, err := os.ReadDir(s.files.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("files of a delivered job are left: %v %v", left, err)
	}
}

func TestTheHolderOfTheLockIsNamed(t *testing.T) {
	t.Parallel()
	opts := testOptions(t.TempDir())
	mustOpen(t, opts)
	_, err := Open(t.Context(), opts)
	if !errors.Is(err, queue.ErrLocked) || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) {
		t.Fatalf("got %v", err)
	}
	if fault.HintOf(err) == "" {
		t.Error("no hint")
	}
}

func TestForeignFilesAreRefusedUnchanged(t *testing.T) {
	t.Parallel()
	set := func(key, value string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte(bktMeta)).Put([]byte(key), []byte(value))
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func(*testing.T, string)
		is    error
		text  string
	}{
		"newer":      {set(keySchema, "2"), queue.ErrNewer, "schema 2"},
		"no number":  {set(keySchema, "x"), nil, "corrupt"},
		"other key":  {set(keyCheck, "0123456789abcdef"), nil, "state key"},
		"cut":        {func(t *testing.T, p string) { t.Helper(); truncate(t, p, 3*4096) }, nil, "corrupt"},
		"cut short":  {func(t *testing.T, p string) { t.Helper(); truncate(t, p, 100) }, nil, "corrupt"},
		"no bbolt":   {func(t *testing.T, p string) { t.Helper(); overwrite(t, p, 0, 16384) }, nil, "corrupt"},
		"data pages": {func(t *testing.T, p string) { t.Helper(); overwrite(t, p, 8192, 1<<20) }, nil, "corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := testOptions(t.TempDir())
			s := mustOpen(t, opts)
			put(t, s, testEntry(1, []byte("m")))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(opts.Dir, fileName)
			c.spoil(t, path)
			for range 2 { // a refused opening keeps no lock
				_, err := Open(t.Context(), opts)
				if err == nil || (c.is != nil && !errors.Is(err, c.is)) || !strings.Contains(err.Error(), c.text) {
					t.Fatalf("got %v", err)
				}
				if fault.HintOf(err) == "" {
					t.Errorf("no hint: %v", err)
				}
			}
		})
	}
}

func truncate(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, off int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, n), off); err != nil {
		t.Fatal(err)
	}
}

func TestAPanicFailsItsOwnCallAlone(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testOptions(t.TempDir()))
	put(t, s, testEntry(0, nil), testEntry(1, nil))
	// All three wait together: the first keeps the writer busy until they do.
	errs := make([]error, 3)
	id := func(n int) queue.ID { return testEntry(n, nil).Job.ID }
	flat(3, func(i int) {
		switch i {
		case 0:
			errs[i] = s.submit(t.Context(), &op{name: "break", do: func(t *txn) error {
				t.put(bktMeta, []byte("trace of a panic"), []byte("x"))
				panic("broken on purpose")
			}})
		case 1:
			errs[i] = s.Advance(t.Context(), move(id(0), queue.Received, queue.Claimed))
		case 2:
			errs[i] = s.Advance(t.Context(), move(id(1), queue.Claimed, queue.Started))
		}
	})
	if !errors.Is(errs[0], errPanicked) || errs[1] != nil || !errors.Is(errs[2], queue.ErrConflict) {
		t.Fatalf("got %v", errs)
	}
	_ = s.view("look", func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte(bktMeta)).Get([]byte("trace of a panic")) != nil {
			t.Error("what the panicking call wrote was committed")
		}
		return nil
	})
}

func TestABrokenRecordStopsNothing(t *testing.T) {
	t.Parallel()
	for _, bucket := range []string{bktJobs, bktStatus} {
		for _, state := range []queue.State{queue.Received, queue.Claimed, queue.Finished} {
			t.Run(bucket+" "+state.String(), func(t *testing.T) {
				t.Parallel()
				testBroken(t, bucket, state)
			})
		}
	}
}

func testBroken(t *testing.T, bucket string, state queue.State) {
	t.Helper()
	opts := testOptions(t.TempDir())
	s := mustOpen(t, opts)
	for n := range 3 {
		put(t, s, testEntry(n, []byte("m")))
		if state != queue.Received {
			toState(t, s, testEntry(n, nil).Job.ID, state)
		}
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		k, v := b.Cursor().First()
		spoiled := bytes.Clone(v)
		spoiled[len(spoiled)/2] ^= 0x40
		return b.Put(bytes.Clone(k), spoiled)
	}); err != nil {
		t.Fatal(err)
	}
	// Whoever finds it first, the others are handed out.
	switch state {
	case queue.Claimed:
		for n := 1; n < 3; n++ {
			if j, err := s.Lease(t.Context(), anySlot); err != nil || j == nil || j.ID != testEntry(n, nil).Job.ID {
				t.Fatalf("lease: %v %v", j, err)
			}
		}
	case queue.Finished:
		if jobs, err := s.Undelivered(t.Context(), 10); err != nil || len(jobs) != 2 {
			t.Fatalf("undelivered: %v %v", jobs, err)
		}
	default:
	}
	for range 2 {
		whole, broken := 0, 0
		for _, err := range s.Unfinished(t.Context()) {
			switch {
			case err == nil:
				whole++
			case errors.Is(err, queue.ErrBroken):
				broken++
			default:
				t.Fatal(err)
			}
		}
		if whole != 2 || broken != 1 {
			t.Fatalf("%d whole, %d broken", whole, broken)
		}
		// A write behind the one that keeps aside.
		if err := s.submit(t.Context(), &op{name: "wait", do: func(t *txn) error { return putProbe(t.tx) }}); err != nil {
			t.Fatal(err)
		}
		if c := s.Counts(); c.Quarantined != 1 || c.States[state] != 2 {
			t.Errorf("counts %+v", c)
		}
		if n, err := s.Put(t.Context(), []queue.Entry{testEntry(0, []byte("m"))}); n != 0 || err != nil {
			t.Errorf("the message of a broken job was taken again: %d %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, opts)
	}
}

func TestABodyThatWasChangedIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"inline": 100, "file": 300_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t, testOptions(t.TempDir()))
			put(t, s, testEntry(1, make([]byte, size)), testEntry(2, make([]byte, size)))
			if err := s.db.Update(func(tx *bbolt.Tx) error { // the two bodies change places
				b := tx.Bucket([]byte(bktBodies))
				one, two := bytes.Clone(b.Get(bodyKey(1, queue.Message))), bytes.Clone(b.Get(bodyKey(2, queue.Message)))
				return errors.Join(b.Put(bodyKey(1, queue.Message), two), b.Put(bodyKey(2, queue.Message), one))
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(t.Context(), testEntry(1, nil).Job.ID, queue.Message); !errors.Is(err, queue.ErrBroken) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestABodyFileIsCheckedToItsEnd(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testOptions(t.TempDir()))
	plain := make([]byte, 5*chunkBytes)
	name, err := s.files.write(plain)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.files.path(name))
	if err != nil {
		t.Fatal(err)
	}
	sealed := chunkBytes + 16
	swapped := bytes.Clone(whole)
	copy(swapped[streamHead:], whole[streamHead+sealed:streamHead+2*sealed])
	copy(swapped[streamHead+sealed:], whole[streamHead:streamHead+sealed])
	spoiled := map[string][]byte{
		"cut in a chunk": whole[:len(whole)-1], "cut between chunks": whole[:streamHead+2*sealed], "empty": {},
		"head only": whole[:streamHead], "longer": append(bytes.Clone(whole), 0), "swapped": swapped,
	}
	for name2, b := range spoiled {
		if err := os.WriteFile(s.files.path(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := s.files.open(name)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			_ = r.Close()
		}
		if err == nil {
			t.Errorf("%s: not noticed", name2)
		}
	}
}

func TestOrphansGoAtTheNextOpening(t *testing.T) {
	t.Parallel()
	opts := testOptions(t.TempDir())
	s := mustOpen(t, opts)
	put(t, s, testEntry(1, make([]byte, 100_000)))
	if _, err := s.files.write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spool(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, opts)
	left, err := os.ReadDir(s.files.dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, want the one of the message: %v", len(left), err)
	}
	if got := body(t, s, testEntry(1, nil).Job.ID, queue.Message); len(got) != 100_000 {
		t.Errorf("the message has %d bytes", len(got))
	}
}

func TestCompactKeepsEverything(t *testing.T) {
	t.Parallel()
	opts := testOptions(t.TempDir())
	s := mustOpen(t, opts)
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 300 {
		put(t, s, testEntry(n, make([]byte, rng.IntN(20_000))))
	}
	for n := range 250 {
		toState(t, s, testEntry(n, nil).Job.ID, queue.Finished, queue.Delivered)
	}
	want := s.Counts().States[queue.Received]
	if _, _, err := Compact(t.Context(), opts); !errors.Is(err, queue.ErrLocked) {
		t.Errorf("compacting a store in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(context.Background(), opts)
	if err != nil || after >= before {
		t.Fatalf("from %d to %d bytes: %v", before, after, err)
	}
	s = mustOpen(t, opts)
	if got := s.Counts().States[queue.Received]; got != want {
		t.Errorf("%d jobs received, want %d", got, want)
	}
	for n := range 300 {
		if _, err := s.Get(t.Context(), testEntry(n, nil).Job.ID); err != nil {
			t.Error(err)
		}
	}
}
