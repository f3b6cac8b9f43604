package intake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

const agent = "mid.server.x"

// house is an Intake over a memory queue and an instance of a few rows.
type house struct {
	t     *testing.T
	now   time.Time
	queue queue.Queue
	mem   *queuetest.Memory
	in    *intake.Intake
	rows  []*ecc.Message

	order    []string // what was done, in order
	deaf     bool     // claims have no effect
	again    bool     // the router lets a message run again
	full     error    // what the queue's Health says
	answered []string
	strange  []string
	asked    []queue.ID // runs that the router was asked about
	hold     string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	h.mem = queuetest.NewMemory(h.clock)
	h.queue = &watched{h.mem, h}
	h.restart()
	return h
}

func (h *house) restart() {
	h.mem.Reopen()
	h.in = intake.New(intake.Config{
		Instance: "i", Agent: agent, Remote: h, Queue: h.queue, Router: h, Direct: h, Log: slog.New(slog.DiscardHandler), Now: h.clock,
		Bounds: queue.PoolCounts{2, 2, 3}, Page: 4, Hold: func() string { return h.hold },
		Observed: func(m ecc.Message) { h.strange = append(h.strange, m.SysID) },
	})
}

func (h *house) clock() time.Time { return h.now }

// watched notes what reaches the queue.
type watched struct {
	*queuetest.Memory
	h *house
}

func (w *watched) Put(ctx context.Context, e []queue.Entry) (int, error) {
	w.h.order = append(w.h.order, fmt.Sprintf("put %d", len(e)))
	return w.Memory.Put(ctx, e)
}

func (w *watched) Health(context.Context) error { return w.h.full }

func (h *house) add(topic, state string, priority int) *ecc.Message {
	n := len(h.rows) + 1
	m := &ecc.Message{
		SysID: fmt.Sprintf("%032x", n), Agent: agent, Topic: topic, Queue: ecc.QueueOutput, State: state,
		Priority: priority, Sequence: fmt.Sprintf("%018d", n), Created: h.now,
	}
	h.rows = append(h.rows, m)
	return m
}

func (h *house) Ready(_ context.Context, offset, limit int) (page []ecc.Message, last bool, err error) {
	var ready []ecc.Message
	for _, m := range h.rows {
		if m.Agent == agent && m.State == ecc.StateReady {
			ready = append(ready, *m)
		}
	}
	slices.SortStableFunc(ready, func(a, b ecc.Message) int { return a.Priority - b.Priority })
	page = ready[min(offset, len(ready)):min(offset+limit, len(ready))]
	return page, len(page) < limit, nil
}

func (h *house) Processing(_ context.Context, after string, limit int) (page []ecc.Message, err error) {
	for _, m := range h.rows {
		if m.Agent == agent && m.State == ecc.StateProcessing && m.SysID > after && len(page) < limit {
			page = append(page, *m)
		}
	}
	return page, nil
}

func (h *house) Look(_ context.Context, ids []string) (map[string]intake.Standing, error) {
	h.order = append(h.order, fmt.Sprintf("look %d", len(ids)))
	found := map[string]intake.Standing{}
	for _, m := range h.rows {
		if slices.Contains(ids, m.SysID) {
			found[m.SysID] = intake.Standing{Agent: m.Agent, State: m.State, ModCount: m.ModCount}
		}
	}
	return found, nil
}

func (h *house) Claim(_ context.Context, ids []string) error {
	h.order = append(h.order, fmt.Sprintf("claim %d", len(ids)))
	if !h.deaf {
		h.set(ids, ecc.StateProcessing)
	}
	return nil
}

func (h *house) Settle(_ context.Context, ids []string) error {
	h.order = append(h.order, fmt.Sprintf("settle %d", len(ids)))
	h.set(ids, ecc.StateProcessed)
	return nil
}

func (h *house) set(ids []string, state string) {
	for _, m := range h.rows {
		if slices.Contains(ids, m.SysID) {
			m.State = state
			m.ModCount++
		}
	}
}

func (h *house) Payload(_ context.Context, sysID string) (string, error) {
	if h.deaf {
		return "", errors.New("not yet")
	}
	return "<parameters/><!-- of " + sysID + " -->", nil
}

func (h *house) Route(m ecc.Message) intake.Route {
	return intake.Route{Action: "a." + m.Topic, Name: m.Name}
}

func (h *house) Again(earlier queue.Job, _ ecc.Message) bool {
	h.asked = append(h.asked, earlier.ID)
	return h.again
}

func (h *house) Answer(_ context.Context, m ecc.Message) (bool, error) {
	if m.Topic != "HeartbeatProbe" {
		return false, nil
	}
	h.answered = append(h.answered, m.SysID)
	if h.full == nil { // with a full disk the test wants to see it come again
		h.set([]string{m.SysID}, ecc.StateProcessed)
	}
	return true, nil
}

func (h *house) step() intake.Result {
	h.t.Helper()
	res, err := h.in.Step(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return res
}

// states lists the jobs of the queue by sys_id's end, run and state.
func (h *house) states() (list []string) {
	for j, err := range h.mem.List(h.t.Context()) {
		if err != nil {
			h.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s#%d %s", strings.TrimLeft(j.SysID, "0"), j.Run, j.Status.State))
	}
	slices.Sort(list)
	return list
}

func (h *house) wants(want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.states()); diff != "" {
		h.t.Errorf("the queue:\n%s", diff)
	}
}

// move takes a job of the queue on.
func (h *house) move(n int, moves ...queue.Transition) {
	h.t.Helper()
	for _, m := range moves {
		m.Job, m.At = queue.NewID("i", fmt.Sprintf("%032x", n), 1), h.now
		if err := h.mem.Advance(h.t.Context(), m); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) deliver(n int) {
	h.t.Helper()
	h.move(n,
		queue.Transition{From: queue.Claimed, To: queue.Started},
		queue.Transition{From: queue.Started, To: queue.Finished, Result: queue.Succeeded, Outcome: []byte("x")},
		queue.Transition{From: queue.Finished, To: queue.Delivered, Report: "r"})
	h.set([]string{fmt.Sprintf("%032x", n)}, ecc.StateProcessed)
}

func TestAPageIsJournaledThenClaimedThenLookedAt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.add("T", ecc.StateReady, 2)
	h.add("T", ecc.StateReady, 1)
	if res := h.step(); res.Taken != 2 || res.More {
		t.Errorf("%+v", res)
	}
	if diff := cmp.Diff([]string{"put 2", "claim 2", "look 2"}, h.order[:3]); diff != "" {
		t.Error(diff)
	}
	h.wants("1#1 claimed", "2#1 claimed")
	if !h.in.Fresh() {
		t.Error("the jobs may not start")
	}
}

func TestAJobStartsOnlyWhenItsClaimIsConfirmed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deaf = true
	h.add("T", ecc.StateReady, 2)
	h.step()
	h.wants("1#1 received")
	h.deaf = false
	h.step()
	h.wants("1#1 claimed")
}

func TestUnstartedJobsAreBoundedByPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 9 {
		h.add("T", ecc.StateReady, 2)
	}
	h.add("T", ecc.StateReady, 0)
	if res := h.step(); res.Taken != 4 || !res.More {
		t.Errorf("%+v", res)
	}
	if got := h.mem.Counts().Unstarted["i"]; got != (queue.PoolCounts{1, 0, 3}) {
		t.Errorf("unstarted: %v", got)
	}
	h.deliver(1)
	if res := h.step(); res.Taken != 1 || !res.More {
		t.Errorf("with room for one: %+v", res)
	}
}

func TestHeartbeatsAreAnsweredWithAFullDisk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.full = fault.New(fault.Unavailable, "write", "queue", queue.ErrFull)
	h.add("T", ecc.StateReady, 2)
	beat := h.add("HeartbeatProbe", ecc.StateReady, 0)
	h.step()
	h.step()
	h.wants()
	if diff := cmp.Diff([]string{beat.SysID}, h.answered); diff != "" {
		t.Error(diff)
	}
	if why := h.in.Status().Blocked; !strings.Contains(why, queue.ErrFull.Error()) {
		t.Errorf("status says %q", why)
	}
	h.full = nil
	if h.step(); h.in.Status().Blocked != "" {
		t.Error("still blocked")
	}
	h.wants("1#1 claimed")
}

func TestWhatIsReassignedOrCanceledIsReleased(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	given, canceled, gone, kept := h.add("T", ecc.StateReady, 2), h.add("T", ecc.StateReady, 2), h.add("T", ecc.StateReady, 1), h.add("T", ecc.StateReady, 1)
	h.step()
	h.move(1, queue.Transition{From: queue.Claimed, To: queue.Held})
	given.Agent, canceled.State, gone.SysID = "mid.server.y", "cancelled", "elsewhere"
	for range 5 {
		h.now = h.now.Add(time.Minute)
		h.step()
	}
	h.wants("1#1 released", "2#1 released", "3#1 released", "4#1 claimed")
	if kept.State != ecc.StateProcessing {
		t.Errorf("the kept one is %s", kept.State)
	}
}

func TestNothingStartsAfterALongGapBeforeItWasLookedAt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.add("T", ecc.StateReady, 2)
	h.step()
	h.now = h.now.Add(4 * time.Minute)
	if h.in.Fresh() {
		t.Error("fresh after four minutes without contact")
	}
	h.rows[0].Agent = "mid.server.y" // failed over meanwhile
	h.step()
	if !h.in.Fresh() {
		t.Error("not fresh after a look")
	}
	h.wants("1#1 released")
}

func TestSeenAgain(t *testing.T) {
	t.Parallel()
	started := queue.Transition{From: queue.Claimed, To: queue.Started}
	t.Run("started: claimed again, never run", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		m := h.add("T", ecc.StateReady, 2)
		h.step()
		h.move(1, started)
		m.State = ecc.StateReady
		m.ModCount++
		h.step()
		h.wants("1#1 started")
		if m.State != ecc.StateProcessing {
			t.Errorf("it is %s", m.State)
		}
	})
	t.Run("delivered, with the same count: a page of the past", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		m := h.add("T", ecc.StateReady, 2)
		h.step()
		h.deliver(1)
		m.State, m.ModCount = ecc.StateReady, 0
		h.step()
		h.wants("1#1 delivered")
	})
	for again, want := range map[bool]string{true: "", false: "i/00000000000000000000000000000001"} {
		t.Run(fmt.Sprintf("delivered, with a higher count, may run again: %v", again), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.again = again
			m := h.add("T", ecc.StateReady, 2)
			h.step()
			h.deliver(1)
			m.State = ecc.StateReady
			m.ModCount++
			h.step()
			h.wants("1#1 delivered", "1#2 claimed")
			j, err := h.mem.Get(t.Context(), queue.NewID("i", m.SysID, 2))
			if err != nil || string(j.Repeats) != want {
				t.Errorf("it repeats %q: %v", j.Repeats, err)
			}
		})
	}
	for _, given := range []bool{true, false} {
		t.Run(fmt.Sprintf("an outcome that is reported again stays one, given away before that: %v", given), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			m := h.add("T", ecc.StateReady, 2)
			h.step()
			h.deliver(1)
			m.State = ecc.StateReady
			m.ModCount++
			h.step() // run 2 repeats run 1
			move := queue.Transition{Job: queue.NewID("i", m.SysID, 2), From: queue.Claimed, At: h.now, To: queue.Released}
			if !given {
				move.To, move.Result, move.Outcome = queue.Finished, queue.Succeeded, []byte("x")
			}
			if err := h.mem.Advance(t.Context(), move); err != nil {
				t.Fatal(err)
			}
			if !given {
				if err := h.mem.Advance(t.Context(), queue.Transition{Job: move.Job, From: queue.Finished, To: queue.Delivered, At: h.now}); err != nil {
					t.Fatal(err)
				}
			}
			m.State = ecc.StateReady
			m.ModCount += 3
			h.step()
			j, err := h.mem.Get(t.Context(), queue.NewID("i", m.SysID, 3))
			if err != nil || j.Repeats != queue.NewID("i", m.SysID, 1) {
				t.Errorf("run 3 repeats %q: %v", j.Repeats, err)
			}
			if !slices.Equal(h.asked, []queue.ID{queue.NewID("i", m.SysID, 1), queue.NewID("i", m.SysID, 1)}) {
				t.Errorf("asked about %v, and not about the run that ran", h.asked)
			}
		})
	}
	t.Run("finished and perhaps reported: left to delivery", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		m := h.add("T", ecc.StateReady, 2)
		h.step()
		h.move(1, started, queue.Transition{From: queue.Started, To: queue.Finished, Result: queue.Failed, Outcome: []byte("x")})
		if err := h.mem.Mark(t.Context(), queue.Mark{Job: queue.NewID("i", m.SysID, 1), Sent: h.now}); err != nil {
			t.Fatal(err)
		}
		m.State = ecc.StateReady
		m.ModCount += 2
		h.step()
		if m.State != ecc.StateReady {
			t.Errorf("it was claimed: %s", m.State)
		}
	})
}

func TestProcessingRecordsThatNobodyKnowsAreAdoptedOnceAfterTheStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.add("T", ecc.StateProcessing, 2)
	h.add("HeartbeatProbe", ecc.StateProcessing, 0)
	h.step()
	h.wants("1#1 claimed")
	if j, err := h.mem.Get(t.Context(), queue.NewID("i", h.rows[0].SysID, 1)); err != nil || !j.Adopted {
		t.Errorf("adopted: %v, %v", j.Adopted, err)
	}
	stranger := h.add("T", ecc.StateProcessing, 2)
	h.now = h.now.Add(2 * time.Hour)
	h.step()
	h.step()
	h.wants("1#1 claimed")
	if diff := cmp.Diff([]string{stranger.SysID}, slices.Compact(h.strange)); diff != "" {
		t.Errorf("strangers:\n%s", diff)
	}
}

func TestAClaimThatOvertookItsReportIsSettled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.add("T", ecc.StateReady, 2)
	h.step()
	h.deliver(1)
	m.State = ecc.StateProcessing // a claim that was cut was executed at last
	m.ModCount++
	h.restart()
	h.step()
	if m.State != ecc.StateProcessed {
		t.Errorf("it stays %s for ever", m.State)
	}
	h.wants("1#1 delivered")
}

func TestAMessageMadeReadyAgainAndThenClaimedLateIsNotForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	m := h.add("T", ecc.StateReady, 2)
	h.step()
	h.deliver(1)
	m.State = ecc.StateProcessing // made ready again, and then the late claim
	m.ModCount += 2
	h.restart()
	h.step()
	h.wants("1#1 delivered", "1#2 claimed")
}

func TestAPayloadThatIsNotThereYetIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deaf = true
	h.add("T", ecc.StateReady, 2).Payload = "<see_attachment/>"
	h.step()
	h.wants()
	h.deaf = false
	h.step()
	h.wants("1#1 claimed")
}

func TestAPausedAgentTakesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.hold = "paused: moving house"
	h.add("T", ecc.StateReady, 2)
	h.step()
	h.wants()
	if why := h.in.Status().Blocked; why != h.hold {
		t.Errorf("status says %q", why)
	}
}
