package queuetest

import (
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// Open opens a store. After the store was closed it opens the same one again,
// as a new process would.
type Open func() (queue.Queue, error)

// Factory makes the stores that the suite tests.
type Factory struct {
	// New makes an empty store that uses the clock now and returns how to open
	// it. It is called once for each test, from several goroutines.
	New func(tb testing.TB, now func() time.Time) Open
	// Walks is how many random walks are compared with Memory, and Steps how
	// many calls each of them makes; 0 is 8 walks of 400 steps.
	Walks, Steps int
	// Seed, when set, makes one walk, that of this seed: a failed walk names it.
	Seed uint64
}

// Run runs the suite: one subtest for each promise of package queue.
func Run(t *testing.T, f Factory) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []check
	}{
		{"put", putChecks()},
		{"advance", advanceChecks()},
		{"mark", markChecks()},
		{"bodies", bodyChecks()},
		{"spool", spoolChecks()},
		{"lease", leaseChecks()},
		{"wait", waitChecks()},
		{"read", readChecks()},
		{"known", knownChecks()},
		{"keep", keepChecks()},
		{"close", closeChecks()},
		{"concurrency", concurrencyChecks()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.tests {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newStore(t, f))
				})
			}
		})
	}
	t.Run("walks", func(t *testing.T) {
		t.Parallel()
		walks(t, f)
	})
}

// check is one promise and how it is checked on a new store.
type check struct {
	name string
	run  func(s *store)
}
