package agent

import (
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

func TestRestBeginsWhenNothingMoves(t *testing.T) {
	t.Parallel()
	var f footprint
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	look := func(delivered uint64, running int) bool {
		t.Helper()
		now = now.Add(time.Second)
		return f.look(queue.Counts{Delivered: delivered}, running, now)
	}
	steps := []struct {
		delivered        uint64
		running          int
		changed, resting bool
	}{
		{0, 0, false, false}, // just started
		{0, 0, false, false},
		{0, 0, true, true},
		{0, 0, false, true},  // once is enough
		{1, 0, true, false},  // a job went by between two looks
		{1, 1, false, false}, // a long one runs
		{1, 1, false, false},
		{1, 1, false, false},
		{1, 0, false, false},
		{1, 0, true, true},
	}
	for i, s := range steps {
		if changed := look(s.delivered, s.running); changed != s.changed || f.resting != s.resting {
			t.Fatalf("look %d: changed %v, resting %v; want %v, %v", i, changed, f.resting, s.changed, s.resting)
		}
	}
}
