package servicenow

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// Bounds of batches. MaxBatchBytes keeps the body below what instances and
// proxies before them take (an item alone may have 5 MB,
// glide.rest.batch.max.inputSize).
const (
	MaxBatchBytes  = 3_000_000
	MaxBatchItems  = 200
	firstBatch     = 100
	leastBytes     = 64 << 10
	batchRefusal   = 15 * time.Minute // until a refused batch is tried again
	batchSlowAfter = 15 * time.Second // half of the instance's quota
)

// batchState remembers how an instance takes batches.
type batchState struct {
	mu           sync.Mutex
	refusedUntil time.Time
	items, bytes int // 0: not yet set
}

func (s *batchState) bounds() (items, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults()
	return s.items, s.bytes
}

func (s *batchState) defaults() {
	if s.items == 0 {
		s.items, s.bytes = firstBatch, MaxBatchBytes
	}
}

func (s *batchState) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.refusedUntil)
}

// refuses reports whether an error says that the instance does not offer batches
// (to this user), and remembers it for a while. Its statuses mean that nothing
// was carried out.
func (s *batchState) refuses(err error) bool {
	e, ok := errors.AsType[*AnswerError](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusedUntil = time.Now().Add(batchRefusal)
	return true
}

// shrink halves both bounds, after a batch of n items was too large.
func (s *batchState) shrink(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults()
	s.items = max(min(s.items, n)/2, 1)
	s.bytes = max(s.bytes/2, leastBytes)
}

// learn adapts the number of items to how the last batch went.
func (s *batchState) learn(n, unserviced int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults()
	switch {
	case unserviced > 0 || took > batchSlowAfter:
		s.items = max(min(s.items, n)/2, 1)
	case n >= s.items:
		s.items = min(s.items+s.items/4+1, MaxBatchItems)
		s.bytes = min(s.bytes+s.bytes/4, MaxBatchBytes)
	}
}
