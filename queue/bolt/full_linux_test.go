package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// smallDisk mounts a file system of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("mounting a tmpfs needs root and CAP_SYS_ADMIN: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fillDisk takes all free space and returns how to give it back.
func fillDisk(t *testing.T, dir string) (release func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			break
		}
	}
	_ = f.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func TestAFullDiskStopsNewWorkAlone(t *testing.T) {
	t.Parallel()
	opts := testOptions(smallDisk(t, "16m"))
	opts.FreeReserve = 4 << 20
	s := mustOpen(t, opts)
	const running = 200
	for n := range running {
		put(t, s, testEntry(n, make([]byte, 2000)))
		toState(t, s, testEntry(n, nil).Job.ID, queue.Claimed, queue.Started)
	}
	release := fillDisk(t, opts.Dir)

	refused := false
	for n := running; n < running+50 && !refused; n++ {
		_, err := s.Put(t.Context(), []queue.Entry{testEntry(n, make([]byte, 60_000))})
		refused = errors.Is(err, queue.ErrFull) && fault.KindOf(err) == fault.Unavailable
		if err != nil && !refused {
			t.Fatal(err)
		}
	}
	if !refused {
		t.Fatal("a full disk took new work")
	}
	for n := range running {
		if err := s.Advance(t.Context(), move(testEntry(n, nil).Job.ID, queue.Started, queue.Finished)); err != nil {
			t.Fatalf("job %d could not finish: %v", n, err)
		}
	}
	if err := s.Health(t.Context()); !errors.Is(err, queue.ErrFull) || fault.HintOf(err) == "" {
		t.Errorf("health on a full disk: %v", err)
	}
	release()
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("health with room again: %v", err)
	}
	put(t, s, testEntry(5000, nil))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, opts)
	if jobs, err := s.Undelivered(t.Context(), 1000); err != nil || len(jobs) != running {
		t.Errorf("%d outcomes after reopening, want %d: %v", len(jobs), running, err)
	}
}

func TestWithoutRoomNothingChangesAndItGoesOnByItself(t *testing.T) {
	t.Parallel()
	opts := testOptions(smallDisk(t, "8m"))
	s := mustOpen(t, opts)
	for n := range 100 {
		put(t, s, testEntry(n, make([]byte, 2000)))
		toState(t, s, testEntry(n, nil).Job.ID, queue.Claimed)
	}
	release := fillDisk(t, opts.Dir)
	done := 0
	var failed error
	for ; done < 100 && failed == nil; done++ {
		m := move(testEntry(done, nil).Job.ID, queue.Claimed, queue.Finished)
		m.Outcome = make([]byte, 60_000)
		failed = s.Advance(t.Context(), m)
	}
	done--
	if !errors.Is(failed, queue.ErrFull) {
		t.Fatalf("got %v after %d", failed, done)
	}
	id := testEntry(done, nil).Job.ID
	if j, err := s.Get(t.Context(), id); err != nil || j.Status.State != queue.Claimed {
		t.Errorf("the refused job is %s: %v", j.Status.State, err)
	}
	if c := s.Counts(); c.States[queue.Claimed] != 100-done {
		t.Errorf("counts %v, %d finished", c.States, done)
	}
	release()
	advance(t, s, move(id, queue.Claimed, queue.Finished))
	if err := s.Health(t.Context()); err != nil {
		t.Error(err)
	}
	leased := 0
	for j, err := s.Lease(t.Context(), anySlot); j != nil; j, err = s.Lease(t.Context(), anySlot) {
		if err != nil {
			t.Fatal(err)
		}
		leased++
	}
	if leased != 99-done {
		t.Errorf("%d leased, want %d", leased, 99-done)
	}
}

func TestAReadOnlyDiskIsNamed(t *testing.T) {
	t.Parallel()
	opts := testOptions(smallDisk(t, "8m"))
	if err := mustOpen(t, opts).Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", opts.Dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), opts); !errors.Is(err, queue.ErrFull) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheBoundOnBytesStopsNewWork(t *testing.T) {
	t.Parallel()
	opts := testOptions(t.TempDir())
	opts.MaxBytes = 1 << 20
	s := mustOpen(t, opts)
	n := 0
	var err error
	for ; n < 1000 && err == nil; n++ {
		s.spaceAt.Store(0) // the look at the space is at most a second old
		_, err = s.Put(t.Context(), []queue.Entry{testEntry(n, make([]byte, 10_000))})
	}
	if !errors.Is(err, queue.ErrFull) || n < 50 || n > 110 {
		t.Fatalf("after %d jobs: %v", n, err)
	}
	if err := s.Health(t.Context()); !errors.Is(err, queue.ErrFull) {
		t.Errorf("health: %v", err)
	}
	for k := range n - 1 {
		toState(t, s, testEntry(k, nil).Job.ID, queue.Finished, queue.Delivered)
	}
	put(t, s, testEntry(n, nil))
}
