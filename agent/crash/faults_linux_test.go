package crash_test

import (
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

const batchPath = "/api/now/v1/batch"

// misbehave sets the instance's faults. Those that a point needs come first.
func (s *site) misbehave(point string) {
	rules := boost(point)
	for _, f := range []simulator.Fault{
		{Effect: simulator.Latency, Latency: 150 * time.Millisecond, Probability: 0.03},
		{Effect: simulator.RateLimit, RetryAfter: 1},
		{Effect: simulator.Semaphore},
		{Effect: simulator.FailBefore},
		{Effect: simulator.FailAfter},
		{Effect: simulator.AcceptedDropped, Method: "POST"},
		{Effect: simulator.AcceptedDone, Method: "POST"},
		{Effect: simulator.CutBefore},
		{Effect: simulator.CutAfter},
		{Effect: simulator.CutLate, Late: settle / 3},
		{Effect: simulator.Truncate},
		{Effect: simulator.Hibernate},
		{Effect: simulator.LoginRedirect},
		{Effect: simulator.MaxExecution},
	} {
		if f.Probability == 0 {
			f.Probability = 0.01
		}
		rules = append(rules, f)
	}
	s.inst.Faults().Clear()
	if _, err := s.inst.Faults().Add(rules...); err != nil {
		s.Fatal(err)
	}
}

// boost are the faults that make an agent come to a point soon.
func boost(point string) []simulator.Fault {
	name, _, _ := strings.Cut(point, ":")
	switch name {
	case "queue.mark.unsent":
		return []simulator.Fault{{Effect: simulator.RateLimit, RetryAfter: 1, Method: "POST", Path: batchPath, Every: 2, Times: 3}}
	case "delivery.find":
		return []simulator.Fault{{Effect: simulator.CutAfter, Method: "POST", Path: batchPath, Every: 2, Times: 3}}
	default:
		return nil
	}
}
