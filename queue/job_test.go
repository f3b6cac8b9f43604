package queue_test

import (
	"testing"

	"github.com/sallyport-agent/sallyport/queue"
)

func TestPoolOf(t *testing.T) {
	t.Parallel()
	for priority, want := range map[int]queue.Pool{
		0: queue.Interactive, 1: queue.Expedited, 2: queue.Standard, 3: queue.Standard, -1: queue.Standard, 1 << 40: queue.Standard,
	} {
		if got := queue.PoolOf(priority); got != want {
			t.Errorf("priority %d goes to %s, want %s", priority, got, want)
		}
	}
}

// TestNames: counts, metrics and JSON tell pools and results apart by name.
func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"": true}
	for _, p := range queue.Pools() {
		if seen[p.String()] {
			t.Errorf("pool %d is named %q as another is", p, p)
		}
		seen[p.String()] = true
	}
	for _, r := range queue.Results() {
		if r == queue.NoResult || seen[r.String()] {
			t.Errorf("result %d is named %q as another is", r, r)
		}
		seen[r.String()] = true
	}
	if n := len(queue.PoolCounts{}); n != len(queue.Pools()) {
		t.Errorf("%d pools are counted, there are %d", n, len(queue.Pools()))
	}
}
