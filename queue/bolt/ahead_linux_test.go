package bolt

import (
	"os"
	"testing"

	bbolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// Behind the last page in use the file has blocks already, so that the next
// commits need not wait for the file system to find some; and what is in use is
// not touched.
func TestTheFileIsWrittenAheadOfItsUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, testOptions(dir))
	const jobs = 600
	for n := range jobs {
		put(t, s, testEntry(n, make([]byte, 4000)))
	}
	if err := s.Close(); err != nil { // the writer is done
		t.Fatal(err)
	}
	db, err := bbolt.Open(s.path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var used int64
	if err := db.View(func(tx *bbolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	want := min(used+aheadLeast, info.Size())
	if want == used {
		t.Skip("the pages end where the file ends")
	}
	hole, err := f.Seek(used, unix.SEEK_HOLE)
	if err != nil {
		t.Skipf("the file system does not tell holes: %v", err)
	}
	if hole < want {
		t.Errorf("there is a hole at %d, %d bytes behind the last page in use", hole, hole-used)
	}
	s = mustOpen(t, testOptions(dir))
	n := 0
	for _, err := range s.Unfinished(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != jobs {
		t.Errorf("%d of %d jobs are there", n, jobs)
	}
}
