package bolt

import (
	"testing"

	bbolt "go.etcd.io/bbolt"
)

// An agent asks at every poll: where the disk was just written, asking writes
// nothing, and after a while it does.
func TestAskingForHealthDoesNotWearTheDisk(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testOptions(t.TempDir()))
	last := func() (id int) {
		_ = s.view("look", func(tx *bbolt.Tx) error {
			id = tx.ID()
			return nil
		})
		return id
	}
	ask := func() {
		t.Helper()
		if err := s.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, testEntry(1, nil))
	before := last()
	ask()
	ask()
	if after := last(); after != before {
		t.Errorf("%d commits for two questions", after-before)
	}
	s.wroteAt.Add(-int64(probeEvery))
	ask()
	if after := last(); after != before+1 {
		t.Errorf("%d commits for a question long after the last write", after-before)
	}
}
