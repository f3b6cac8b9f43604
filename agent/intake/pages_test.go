package intake_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/queue"
)

// reader counts what is read of a house's instance.
type reader struct {
	*house
	pages, records int
}

func (r *reader) Ready(ctx context.Context, offset, limit int) ([]ecc.Message, bool, error) {
	page, last, err := r.house.Ready(ctx, offset, limit)
	r.pages++
	r.records += len(page)
	return page, last, err
}

// A backlog of standard work is not read again and again while there is no room
// for it, and what is more urgent is found all the same.
func TestABacklogIsNotReadWithoutRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := &reader{house: h}
	h.in = intake.New(intake.Config{
		Instance: "i", Agent: agent, Remote: r, Queue: h.queue, Router: h, Direct: h, Log: slog.New(slog.DiscardHandler), Now: h.clock,
		Bounds: queue.PoolCounts{2, 2, 100}, Page: 100,
	})
	for range 1500 {
		h.add("T", ecc.StateReady, 2)
	}
	h.step()
	h.now = h.now.Add(time.Second)
	r.pages, r.records = 0, 0
	urgent := h.add("T", ecc.StateReady, 0)
	h.step()
	if r.pages != 1 || r.records > 100 {
		t.Errorf("%d records in %d pages were read for one job", r.records, r.pages)
	}
	if urgent.State != ecc.StateProcessing {
		t.Errorf("the urgent one is %s", urgent.State)
	}
	r.records = 0
	for n := 1; n <= 40; n++ {
		h.deliver(n)
	}
	if res := h.step(); res.Taken != 40 || r.records > 80 {
		t.Errorf("%d taken of %d records that were read", res.Taken, r.records)
	}
}

// What came back behind a full pool is found after some seconds.
func TestWhatCameBackBehindAFullPoolIsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 3 {
		h.add("T", ecc.StateReady, 2)
	}
	h.step()
	h.move(3, queue.Transition{From: queue.Claimed, To: queue.Started})
	back := h.rows[2]
	for range 20 { // in front of it, and no room for them
		h.rows = append([]*ecc.Message{}, h.rows...)
		h.add("T", ecc.StateReady, 2)
	}
	h.rows = append(append(h.rows[:2:2], h.rows[3:]...), back)
	back.State = ecc.StateReady
	back.ModCount++
	h.now = h.now.Add(10 * time.Second)
	h.step()
	if back.State != ecc.StateProcessing {
		t.Errorf("it is %s", back.State)
	}
}
