package agent

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Only what can be read again from a file is let go: never memory of the
// process, never a mapping of something else.
func TestOnlyUnchangeablePagesAreLetGo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		perms, path string
		want        bool
	}{
		{"r--s", "/var/lib/sallyport/queue/queue.db", true},
		{"r-xp", "/usr/bin/sallyport", true},
		{"r--p", "/usr/bin/sallyport", true},
		{"rw-p", "/usr/bin/sallyport", false},
		{"rw-s", "/var/lib/sallyport/queue/queue.db", false},
		{"r--s", "/var/lib/sallyport-other/queue.db", false},
		{"r--p", "/usr/lib/libc.so.6", false},
		{"rw-p", "[heap]", false},
	} {
		if got := discardable(c.perms, c.path, "/usr/bin/sallyport", "/var/lib/sallyport/"); got != c.want {
			t.Errorf("%s %s: %v", c.perms, c.path, got)
		}
	}
	if discardable("r-xp", "", "", "/var/lib/sallyport") {
		t.Error("an unnamed mapping")
	}
}

// A mapped file reads the same after its pages were let go, and the program
// goes on.
func TestPagesComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(i % 251)
	}
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	data, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(data) }()
	if string(data) != string(want) {
		t.Fatal("read wrongly at first")
	}
	if giveBackPages(dir) == 0 {
		t.Error("nothing was let go")
	}
	if string(data) != string(want) {
		t.Error("reads differently")
	}
}
