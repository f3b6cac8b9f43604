package bolt

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-agent/sallyport/queue"
)

var updateFixture = flag.Bool("update", false, "write testdata/schema1 anew")

const fixtureDir = "testdata/schema1"

// fixtureJobs makes one job of every state, one with a large message and a
// second run, as they are in testdata/schema1.
func fixtureJobs(t *testing.T, s *Store) {
	t.Helper()
	paths := [][]queue.State{
		{},
		{queue.Claimed},
		{queue.Claimed, queue.Held},
		{queue.Claimed, queue.Started},
		{queue.Claimed, queue.Started, queue.Waiting},
		{queue.Finished},
		{queue.Finished, queue.Delivered},
		{queue.Released},
	}
	for n, path := range paths {
		e := testEntry(n, fixtureMessage(n))
		put(t, s, e)
		toState(t, s, e.Job.ID, path...)
	}
	again := testEntry(6, []byte("again"))
	again.Job.Run = 2
	again.Job.ID = queue.NewID("prod", again.Job.SysID, 2)
	put(t, s, again)
}

func fixtureMessage(n int) []byte {
	if n == 3 {
		return bytes.Repeat([]byte("large"), 15_000)
	}
	return []byte("message")
}

// TestFilesOfEarlierVersionsAreRead opens a file that the first version wrote.
// A later schema adds a folder beside it and keeps this one.
func TestFilesOfEarlierVersionsAreRead(t *testing.T) {
	t.Parallel()
	if *updateFixture {
		writeFixture(t)
	}
	opts := testOptions(t.TempDir())
	if err := os.CopyFS(opts.Dir, os.DirFS(fixtureDir)); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, opts)
	for n, want := range queue.States() {
		if n >= 8 {
			break
		}
		id := testEntry(n, nil).Job.ID
		j, err := s.Get(t.Context(), id)
		if err != nil || j.Status.State != want || j.Topic != "Command" || !j.Received.Equal(day0) {
			t.Errorf("job %d is %+v, want it %s: %v", n, j, want, err)
			continue
		}
		if !want.Final() && !bytes.Equal(body(t, s, id, queue.Message), fixtureMessage(n)) {
			t.Errorf("job %d has another message", n)
		}
	}
	if got := body(t, s, testEntry(6, nil).Job.ID, queue.Outcome); string(got) != "outcome of "+string(testEntry(6, nil).Job.ID) {
		t.Errorf("outcome %q", got)
	}
	sysID := testEntry(6, nil).Job.SysID
	if known, err := s.Known(t.Context(), "prod", []string{sysID}); err != nil || known[sysID].Job.Run != 2 {
		t.Errorf("known: %+v %v", known, err)
	}
	if j, err := s.Lease(t.Context(), anySlot); err != nil || j == nil || j.ID != testEntry(1, nil).Job.ID {
		t.Errorf("lease: %v %v", j, err)
	}
}

// writeFixture makes the fixture; compacting keeps it small.
func writeFixture(t *testing.T) {
	t.Helper()
	opts := testOptions(t.TempDir())
	s := mustOpen(t, opts)
	fixtureJobs(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(fixtureDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, name := range []string{pidName, reserveName} {
		_ = os.Remove(filepath.Join(opts.Dir, name))
	}
	if err := os.CopyFS(fixtureDir, os.DirFS(opts.Dir)); err != nil {
		t.Fatal(err)
	}
}
