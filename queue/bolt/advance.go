package bolt

import (
	"context"
	"slices"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// step is one job's way through an Advance call, validated and not yet written.
type step struct {
	id       queue.ID
	seq      uint64
	old, new record
	outcome  *prepared
	group    *groupRecord
	last     int // the index of its last move
}

// Advance makes transitions, all or none, durable on return.
func (s *Store) Advance(ctx context.Context, moves ...queue.Transition) error {
	if len(moves) == 0 {
		return nil
	}
	outcomes, own, err := s.prepareOutcomes(moves)
	if err != nil {
		return err
	}
	size := 256 * len(moves)
	for _, p := range outcomes {
		size += len(p.value)
	}
	err = s.submit(ctx, &op{name: "advance jobs", size: size, do: func(t *txn) error {
		steps, err := t.plan(moves, outcomes)
		if err != nil {
			return err
		}
		for i := range steps {
			t.makeStep(&steps[i])
		}
		return nil
	}})
	switch {
	case err == nil:
		for i := range moves {
			if sp, ok := moves[i].Spool.(*spooled); ok {
				sp.used.Store(true)
			}
		}
	case fault.KindOf(err) != fault.Unknown:
		s.discard(own)
	}
	return err
}

// prepareOutcomes seals the outcomes, by the index of their move. Those that it
// wrote itself are its own to remove where the call fails; a spool stays, so
// that the same call can be made again.
func (s *Store) prepareOutcomes(moves []queue.Transition) (byMove map[int]prepared, own []prepared, err error) {
	for i := range moves {
		m := &moves[i]
		var p prepared
		switch {
		case m.Spool != nil:
			sp, ok := m.Spool.(*spooled)
			if !ok || sp.s != s || sp.used.Load() {
				err = fault.New(fault.Invalid, "advance job", string(m.Job), errForeign)
				break
			}
			p, err = s.prepareFile(m.Job, queue.Outcome, sp.ref)
		case m.Outcome != nil:
			if p, err = s.prepareBody(m.Job, queue.Outcome, m.Outcome); err == nil {
				own = append(own, p)
			}
		default:
			continue
		}
		if err != nil {
			s.discard(own)
			return nil, nil, err
		}
		if byMove == nil {
			byMove = map[int]prepared{}
		}
		byMove[i] = p
	}
	return byMove, own, nil
}

// plan validates all moves against the states of this transaction.
func (t *txn) plan(moves []queue.Transition, outcomes map[int]prepared) ([]step, error) {
	steps := make([]step, 0, len(moves))
	at := map[queue.ID]int{}
	for i := range moves {
		m := &moves[i]
		k, ok := at[m.Job]
		if !ok {
			st, err := t.begin(m)
			if err != nil {
				return nil, err
			}
			steps = append(steps, st)
			k = len(steps) - 1
			if len(moves) > 1 {
				at[m.Job] = k
			}
		}
		var err error
		steps[k].last = i
		if steps[k].new.status, err = m.Apply(steps[k].new.status); err != nil {
			return nil, err
		}
		if p, ok := outcomes[i]; ok {
			if p.file.Name != "" && t.bucket(bktFiles).Get([]byte(p.file.Name)) != nil {
				return nil, fault.New(fault.Invalid, "advance job", string(m.Job), errForeign)
			}
			steps[k].outcome = &p
		}
	}
	// Outcomes are delivered, and kept, in the order of the moves.
	slices.SortFunc(steps, func(a, b step) int { return a.last - b.last })
	return steps, nil
}

func (t *txn) begin(m *queue.Transition) (step, error) {
	seq, r, final, err := t.lookup("advance job", m.Job)
	if err != nil {
		return step{}, err
	}
	if final { // no transition leads out: Apply says so
		return step{id: m.Job, seq: seq, new: r}, nil
	}
	g, err := t.group(r.gid)
	if err != nil {
		return step{}, err
	}
	r.order = slices.Clone(r.order) // the pages behind it may be rewritten
	return step{id: m.Job, seq: seq, old: r, new: r, group: g}, nil
}

// makeStep writes one job's new state.
func (t *txn) makeStep(st *step) {
	from, to := st.old.status.State, st.new.status.State
	t.unplace(st.seq, &st.old)
	st.new.place = nowhere
	t.deltas = append(t.deltas, delta{seq: st.seq, gid: st.old.gid, unlease: true})
	t.n.moved(&st.group.slot, from, to)
	if st.outcome != nil {
		t.setBody(st.seq, queue.Outcome, *st.outcome)
	}
	if from != queue.Finished && st.new.status.Result != queue.NoResult {
		t.n.results[st.new.status.Result]++
	}
	if to == queue.Finished {
		st.new.fin = t.n.NextFin
		t.n.NextFin++
		t.put(bktFinished, seqKey(st.new.fin), seqKey(st.seq))
		t.finDue = true
	}
	if to.Final() {
		t.finalize(st)
		return
	}
	t.replace(st.seq, &st.new)
	t.put(bktStatus, seqKey(st.seq), encodeRecord(st.seq, &st.new))
}

// finalize moves a job to those that are only remembered.
func (t *txn) finalize(st *step) {
	key := seqKey(st.seq)
	if st.old.fin != 0 {
		t.del(bktFinished, seqKey(st.old.fin))
		t.finDue = true
	}
	st.new.fin = 0
	job := slices.Clone(t.bucket(bktJobs).Get(key))
	t.del(bktJobs, key)
	t.del(bktStatus, key)
	t.put(bktDone, key, encodeDone(st.seq, &st.new, job))
	day, err := t.bucket(bktDelivered).CreateBucketIfNotExists([]byte(st.new.status.Changed.Format(dayFormat)))
	must(err)
	must(day.Put(key, nil))
	t.dropBody(st.seq, queue.Saved)
	t.keep(st.seq)
	st.group.jobs--
	st.group.dirty = true
	if st.new.status.State == queue.Delivered {
		t.n.delivered++
	}
}

// smallMessage is the largest message, in stored bytes, that is kept with the
// outcome of a final job.
const smallMessage = 4 << 10

// keep remembers the outcome of a final job, to report it again, and a small
// message, to explain it; and forgets the oldest of those above the bound.
func (t *txn) keep(seq uint64) {
	bodies := t.bucket(bktBodies)
	kept := bodies.Get(bodyKey(seq, queue.Outcome)) != nil
	message := bodies.Get(bodyKey(seq, queue.Message))
	if _, _, large := splitFile(message); !kept || large || len(message) > smallMessage {
		t.dropBody(seq, queue.Message)
	}
	if !kept {
		return
	}
	t.put(bktKept, seqKey(t.n.NextKept), seqKey(seq))
	t.n.NextKept++
	t.n.Kept++
	for t.n.Kept > int64(t.s.opts.KeepOutcomes) {
		k, v := t.bucket(bktKept).Cursor().First()
		if k == nil {
			t.n.Kept = 0
			return
		}
		t.dropBody(seqOf(v), queue.Message)
		t.dropBody(seqOf(v), queue.Outcome)
		t.del(bktKept, slices.Clone(k))
		t.n.Kept--
	}
}

// emptied returns the slots whose last job went.
func (t *txn) emptied() map[uint32]queue.Slot {
	out := map[uint32]queue.Slot{}
	for gid, g := range t.groups {
		if g.dirty && g.jobs <= 0 {
			out[gid] = g.slot
		}
	}
	return out
}
