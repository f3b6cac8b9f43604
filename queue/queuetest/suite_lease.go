package queuetest

import (
	"fmt"
	"slices"

	"github.com/sallyport-agent/sallyport/queue"
)

func leaseChecks() []check {
	return []check{
		{"nothing", leaseNothing},
		{"only claimed jobs", leaseStates},
		{"by pool, priority and sequence", leaseOrder},
		{"slots that are not free are passed over", leaseSlots},
		{"slots are told apart by each field", leaseSlotFields},
		{"free is asked about groups", leaseGroups},
		{"to nobody else", leaseOnce},
		{"given back", leaseUnlease},
		{"a move ends it", leaseEnds},
		{"none after a restart", leaseReopen},
		{"the job handed out is a copy", leaseCopy},
	}
}

func leaseNothing(s *store) {
	s.leases("an empty store")
	s.Unlease("prod/nobody")
	s.put(nil)
	s.leases("a store without a claimed job")
}

func leaseStates(s *store) {
	var claimed queue.Job
	for _, state := range queue.States() {
		j := s.in(state, nil)
		if state == queue.Claimed {
			claimed = j
		}
	}
	s.leases("one job of each state, waiting and held ones without a time", claimed)
}

// leaseOrder claims jobs of several slots in an order of its own; the lease
// goes by pool, priority and sequence all the same, after a restart too.
func leaseOrder(s *store) {
	var want []queue.Job
	for _, p := range []struct {
		pool     queue.Pool
		priority int
	}{{queue.Interactive, 0}, {queue.Expedited, 1}, {queue.Standard, 2}, {queue.Standard, 3}, {queue.Standard, 10}} {
		for i := range 8 {
			want = append(want, s.put(func(j *queue.Job) {
				j.Pool, j.Priority = p.pool, p.priority
				j.Sequence = fmt.Sprintf("18%09x%07d", i, 0)
				j.Target = []string{"a", "b", ""}[i%3]
				j.Instance = []string{"prod", "dev"}[i%2]
			}))
		}
	}
	// Shuffled the same way each time: 40 and 27 have no common divisor.
	for i := range want {
		s.advance(s.move(want[i*27%len(want)].ID, queue.Received, queue.Claimed))
	}
	for i := range want {
		want[i] = s.get(want[i].ID)
	}
	s.leases("jobs of three pools", want...)
	s.reopen()
	s.leases("the same after a restart", want...)
}

func leaseSlots(s *store) {
	var jobs []queue.Job
	for i := range 12 {
		jobs = append(jobs, s.in(queue.Claimed, func(j *queue.Job) {
			j.Lane = fmt.Sprintf("lane%d", i%3)
			j.Priority, j.Pool = i%2, queue.PoolOf(i%2)
		}))
	}
	// As dispatch does it: one at a time of each lane.
	busy := map[string]bool{}
	free := func(slot queue.Slot) bool { return !busy[slot.Lane] }
	var got []queue.ID
	for id := s.leaseOf(free); id != ""; id = s.leaseOf(free) {
		got = append(got, id)
		busy[s.get(id).Lane] = true
	}
	s.same("the first of each lane", got, []queue.ID{jobs[0].ID, jobs[2].ID, jobs[4].ID})
	s.same("all slots busy", s.leaseOf(func(queue.Slot) bool { return false }), queue.ID(""))
	busy["lane2"] = false
	s.same("the next of the lane that is free again", s.leaseOf(free), jobs[8].ID)
}

// leaseSlotFields has jobs whose slots differ in one field each.
func leaseSlotFields(s *store) {
	base := queue.Slot{Instance: "prod", Pool: queue.Standard, Target: "local"}
	slots := []queue.Slot{base, base, base, base, base}
	slots[1].Instance = "dev"
	slots[2].Pool = queue.Expedited
	slots[3].Target = "other"
	slots[4].Lane = "lane"
	var jobs []queue.Job
	for _, slot := range slots {
		jobs = append(jobs, s.in(queue.Claimed, func(j *queue.Job) {
			j.Instance, j.Pool, j.Target, j.Lane = slot.Instance, slot.Pool, slot.Target, slot.Lane
		}))
	}
	for i, want := range slots {
		got := s.leaseOf(func(slot queue.Slot) bool { return slot == want })
		s.same(fmt.Sprintf("the job of slot %+v", want), got, jobs[i].ID)
	}
}

// leaseGroups: a saturated slot with many jobs costs no more questions than one
// with few.
func leaseGroups(s *store) {
	var entries []queue.Entry
	for i := range 600 {
		entries = append(entries, s.entry(func(j *queue.Job) { j.Target = fmt.Sprintf("t%d", i%2) }))
	}
	entries = append(entries, s.entry(func(j *queue.Job) { j.Target = "t2" }))
	s.putEntries(len(entries), entries...)
	var moves []queue.Transition
	for _, e := range entries {
		moves = append(moves, s.move(e.Job.ID, queue.Received, queue.Claimed))
	}
	s.advance(moves...)
	asked := 0
	id := s.leaseOf(func(slot queue.Slot) bool { asked++; return slot.Target == "t2" })
	s.same("the one behind those of busy slots", id, entries[600].Job.ID)
	if asked > 12 {
		s.t.Errorf("free was asked %d times about 3 slots of %d jobs", asked, len(entries))
	}
}

func leaseOnce(s *store) {
	a, b := s.in(queue.Claimed, nil), s.in(queue.Claimed, nil)
	s.leases("two jobs", a, b)
	s.leases("both are leased")
}

func leaseUnlease(s *store) {
	a, b := s.in(queue.Claimed, nil), s.in(queue.Claimed, nil)
	s.leases("two jobs", a, b)
	s.Unlease(a.ID)
	s.same("a job that was given back", s.get(a.ID), a)
	s.leases("given back", a)
	s.Unlease(b.ID)
	s.Unlease(b.ID)
	s.leases("given back twice", b)
}

// leaseEnds: a job that changed its state and came back is leased anew, and one
// that is claimed again keeps its place.
func leaseEnds(s *store) {
	a, b := s.in(queue.Claimed, nil), s.in(queue.Claimed, nil)
	s.leases("two jobs", a, b)
	s.advance(s.move(a.ID, queue.Claimed, queue.Held), s.move(a.ID, queue.Held, queue.Claimed))
	s.Unlease(b.ID)
	s.same("first the one with the lower sequence", []queue.ID{s.lease(), s.lease()}, []queue.ID{a.ID, b.ID})
	s.advance(s.move(a.ID, queue.Claimed, queue.Started))
	s.Unlease(a.ID)
	s.leases("a started job is leased to nobody")
}

func leaseReopen(s *store) {
	a, b := s.in(queue.Claimed, nil), s.in(queue.Claimed, nil)
	started := s.in(queue.Started, nil)
	s.leases("two jobs", a, b)
	s.reopen()
	s.leases("after a restart nothing is leased", a, b)
	s.same("a started job stays started", s.get(started.ID), started)
}

func leaseCopy(s *store) {
	j := s.in(queue.Claimed, nil)
	leased, err := s.Lease(s.ctx, func(queue.Slot) bool { return true })
	if err != nil || leased == nil {
		s.t.Fatalf("lease: %v, %v", leased, err)
	}
	leased.Status.State, leased.Name = queue.Finished, "changed by the caller"
	s.same("the stored job", s.get(j.ID), j)
	var all []queue.ID
	for j, err := range s.Unfinished(s.ctx) {
		if err != nil {
			s.t.Errorf("unfinished: %v", err)
		}
		all = append(all, j.ID)
	}
	if !slices.Contains(all, j.ID) {
		s.t.Error("the job is missing")
	}
}
