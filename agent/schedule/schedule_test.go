package schedule_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

var (
	schedules = flag.Int("schedules", 2_000, "how many seeded schedules to run")
	replay    = flag.Uint64("seed", 0, "replay this one schedule and print its history")
)

// schedule is one run of the model.
type schedule struct {
	w        *world
	inst     *instance
	target   *target
	queue    *queuetest.Memory
	registry *connectors.Registry
	in       *intake.Intake
	kills    int
}

func newSchedule(seed uint64) *schedule {
	w := newWorld(seed)
	inst := newInstance(w)
	s := &schedule{w: w, inst: inst, target: newTarget(w, inst), queue: queuetest.NewMemory(w.clock)}
	r, err := connectors.NewRegistry(s.target)
	if err != nil {
		panic(err)
	}
	s.registry = r
	return s
}

// people is what happens on the instance besides the agent's own requests.
func (s *schedule) people() {
	if s.w.chance(12) && len(s.inst.outputs) < 25 {
		names := []string{"", "", "", "", "denied", "held"}
		s.inst.output(kinds[s.w.rng.IntN(len(kinds))], names[s.w.rng.IntN(len(names))], s.w.rng.IntN(3))
	}
	if len(s.inst.outputs) == 0 || !s.w.chance(40) {
		return
	}
	r := s.inst.outputs[s.w.rng.IntN(len(s.inst.outputs))]
	switch s.w.rng.IntN(6) {
	case 0: // Run again, or a retry policy
		if r.state == "processed" && r.agent == us {
			s.inst.set(r, us, "ready")
		}
	case 1: // fail-over to another agent: ready and processing move
		if r.state == "ready" && r.agent == us {
			s.inst.set(r, them, "ready")
		}
	case 2: // and back
		if r.agent == them && r.state == "ready" {
			s.inst.set(r, us, "ready")
		}
	case 3: // fail-over to the same name: a cluster of one
		if r.state == "processing" && r.agent == us {
			s.inst.set(r, us, "ready")
		}
	case 4: // canceled while it waits
		if r.state == "ready" && r.agent == us {
			s.inst.set(r, us, "cancelled")
		}
	}
}

// run plays the schedule: first with crashes and faults, then in peace until
// everything has come to rest.
func (s *schedule) run() {
	s.start()
	for range 600 {
		s.people()
		s.w.step()
		if s.w.chance(90) {
			s.w.kill()
			s.kills++
			s.queue.Reopen()
			s.start()
		}
	}
	s.inst.faults = false
	s.inst.stale = nil
	for i := 0; i < 200_000 && !s.quiet(); i++ {
		s.w.step()
		s.inst.settlePending()
	}
	s.w.kill()
}

// quiet reports whether nothing is left to be done.
func (s *schedule) quiet() bool {
	if len(s.inst.pending) > 0 || s.w.steps%50 != 0 {
		return false
	}
	for _, r := range s.inst.outputs {
		if r.agent == us && (r.state == "ready" || r.state == "processing") {
			return false
		}
	}
	for range s.queue.Unfinished(context.Background()) {
		return false
	}
	return true
}

// check holds the promises against the instance's own book-keeping.
func (s *schedule) check() {
	if !s.quietEnd() {
		s.w.violated("it did not come to rest: %s", s.unrest())
	}
	runs := map[string]int{}
	for j, err := range s.queue.List(context.Background()) {
		if err != nil {
			s.w.violated("list: %v", err)
			continue
		}
		if j.Status.State != queue.Delivered {
			continue
		}
		runs[j.SysID]++
		report := s.inst.rows[j.Status.Report]
		if report == nil || report.responseTo != j.SysID {
			s.w.violated("%s: its report %q is not on the instance", j.ID, j.Status.Report)
		}
	}
	for _, r := range s.inst.outputs {
		reports := len(s.inst.inputs[r.id])
		if reports != runs[r.id] {
			s.w.violated("%s: %d reports for %d delivered runs", short(r.id), reports, runs[r.id])
		}
		if runs[r.id] > 1+r.readied {
			s.w.violated("%s: %d runs, and it was made ready again %d times", short(r.id), runs[r.id], r.readied)
		}
		if r.agent == us && r.state == "processed" && reports > 0 && s.inst.inputs[r.id][reports-1].created.Before(r.readiedAt) {
			s.w.violated("%s: made ready again at %s, and no report since", short(r.id), r.readiedAt.Format("15:04:05.000"))
		}
		if r.agent == us && r.state == "processed" && reports == 0 {
			s.w.violated("%s: processed without a report", short(r.id))
		}
	}
}

// unrest names what is left to be done.
func (s *schedule) unrest() string {
	var left []string
	for _, r := range s.inst.outputs {
		if r.agent == us && (r.state == "ready" || r.state == "processing") {
			left = append(left, fmt.Sprintf("%s is %s (%d)", short(r.id), r.state, r.mod))
		}
	}
	for j := range s.queue.Unfinished(context.Background()) {
		left = append(left, fmt.Sprintf("%s is %s (%d): %s", j.ID, j.Status.State, j.Status.ModCount, j.Status.Why))
	}
	return strings.Join(left, ", ")
}

func (s *schedule) quietEnd() bool {
	s.w.steps = 0
	return s.quiet()
}

// TestSchedules plays seeded schedules. A failing one is replayed with its
// history by: go test ./agent/schedule -seed N
func TestSchedules(t *testing.T) {
	t.Parallel()
	if *replay != 0 {
		play(t, *replay)
		return
	}
	const workers = 4
	var kills, jobs atomic.Int64
	for i := range workers {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for n := i + 1; n <= *schedules && !t.Failed(); n += workers {
				s := play(t, uint64(n))
				kills.Add(int64(s.kills))
				jobs.Add(int64(len(s.inst.outputs)))
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d schedules, %d kills, %d jobs", *schedules, kills.Load(), jobs.Load()) })
}

func play(t *testing.T, seed uint64) *schedule {
	t.Helper()
	s := newSchedule(seed)
	s.run()
	s.check()
	if len(s.w.broken) > 0 {
		history := s.w.history()
		if len(history) > 30_000 && *replay == 0 {
			history = history[len(history)-30_000:]
		}
		t.Errorf("seed %d: %v\n%s", seed, s.w.broken, history)
	}
	return s
}
