package crash_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// TestASettleThatFailsStopsNoWork: an output whose report arrived, and that a
// late claim made processing again, cannot be settled. What was claimed before
// the crash starts all the same.
func TestASettleThatFailsStopsNoWork(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0, 1)
	first := s.native(echo, "diag.echo", `{"text":"hello"}`)
	s.start("", 0)
	s.await(func() bool { return s.answered(first) })
	s.process.Kill()

	s.update(first, simulator.Record{"state": "processing"})
	second := s.native(echo, "diag.echo", `{"text":"hello"}`)
	s.start("queue.received>claimed:after", 1)
	<-s.process.Ended()
	rules := []simulator.Fault{{Effect: simulator.FailBefore, Method: http.MethodPost, Topic: "queue.processing"}}
	if _, err := s.inst.Faults().Add(rules...); err != nil {
		t.Fatal(err)
	}
	s.start("", 0)
	s.await(func() bool { return s.answered(second) })
	if got := s.inst.Record("ecc_queue", first.id)["state"]; got != "processing" {
		t.Errorf("the first one is %s: nothing was to be settled", got)
	}
}

// await waits until something holds.
func (s *site) await(holds func() bool) {
	s.Helper()
	const most = 15 * time.Second
	deadline := time.After(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("not within %v; the agent's log ends with:\n%s", most, s.process.LogTail(3000))
		}
	}
}
