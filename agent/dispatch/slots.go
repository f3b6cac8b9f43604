package dispatch

import (
	"sync"

	"github.com/sallyport-agent/sallyport/queue"
)

// slots counts what runs, by pool, target and lane.
type slots struct {
	most queue.PoolCounts
	room func(target string) int

	mu      sync.Mutex
	pools   queue.PoolCounts
	targets map[string]int
	lanes   map[lane]int
	given   chan struct{} // closed when something was given back
}

// lane is an ordered lane; its name counts within an instance only.
type lane struct{ instance, name string }

func newSlots(most queue.PoolCounts, room func(string) int) *slots {
	return &slots{most: most, room: room, targets: map[string]int{}, lanes: map[lane]int{}, given: make(chan struct{})}
}

func (s *slots) free(q queue.Slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pools[q.Pool] >= s.most[q.Pool] {
		return false
	}
	if room := s.room(q.Target); room > 0 && s.targets[q.Target] >= room {
		return false
	}
	return q.Lane == "" || s.lanes[lane{q.Instance, q.Lane}] == 0
}

func (s *slots) take(q queue.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[q.Pool]++
	s.targets[q.Target]++
	if q.Lane != "" {
		s.lanes[lane{q.Instance, q.Lane}]++
	}
}

func (s *slots) give(q queue.Slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[q.Pool]--
	drop(s.targets, q.Target)
	if q.Lane != "" {
		drop(s.lanes, lane{q.Instance, q.Lane})
	}
	s.wakeLocked()
}

// wake makes whoever waits for a slot look again.
func (s *slots) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
}

func (s *slots) wakeLocked() {
	close(s.given)
	s.given = make(chan struct{})
}

// changed returns a channel that is closed when something is given back.
func (s *slots) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given
}

// used returns how many slots of each pool are taken.
func (s *slots) used() queue.PoolCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pools
}

func drop[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}
