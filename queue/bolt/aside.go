package bolt

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"

	"github.com/sallyport-agent/sallyport/queue"
)

// aside is the value of a record that cannot be read: its raw parts, for
// whoever wants to see what is left of it.
type aside struct {
	Why    string `json:"why"`
	Status []byte `json:"status,omitempty"`
	Job    []byte `json:"job,omitempty"`
}

func asideWhy(v []byte) string {
	var a aside
	if json.Unmarshal(v, &a) != nil || a.Why == "" {
		return "what was kept aside cannot be read either"
	}
	return a.Why
}

// setAside has the writer keep a broken record aside. It does not wait: the
// reader that found it goes on, and may find it again before it is gone.
func (s *Store) setAside(gid uint32, key string, seq uint64, why error) {
	o := &op{name: "keep a broken record aside", size: 4096, done: make(chan struct{}), do: func(t *txn) error {
		t.setAside(seq, why)
		if key != "" { // it may name a job that is not there at all
			t.del(bktReady, readyKey(gid, []byte(key)))
		}
		return nil
	}}
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.waiting = append(w.waiting, o)
	w.signal()
}

// setAside moves a record that cannot be read out of the way. What it counted
// for is taken back as far as the record still tells; the id stays known, so
// that its message is never run twice.
func (t *txn) setAside(seq uint64, why error) {
	key := seqKey(seq)
	a := aside{Why: why.Error()}
	a.Status = slices.Clone(t.bucket(bktStatus).Get(key))
	a.Job = slices.Clone(t.bucket(bktJobs).Get(key))
	if a.Status == nil && a.Job == nil {
		return // a stale index entry, or kept aside already
	}
	var r record
	if decodeRecord(seq, a.Status, &r) == nil {
		t.leave(seq, &r)
	} else {
		t.sweepIndexes(seq, a.Job)
	}
	v, err := json.Marshal(a)
	must(err)
	t.put(bktBroken, key, v)
	t.del(bktStatus, key)
	t.del(bktJobs, key)
	t.n.Broken++
	t.deltas = append(t.deltas, delta{seq: seq, unlease: true})
	t.s.opts.Log.Error("a broken record was kept aside",
		slog.String("record", seqName(seq)), slog.Any("error", why))
}

// leave takes a job whose status can be read out of indexes and counts.
func (t *txn) leave(seq uint64, r *record) {
	r.order = slices.Clone(r.order)
	t.unplace(seq, r)
	if r.fin != 0 {
		t.del(bktFinished, seqKey(r.fin))
		t.finDue = true
	}
	if g, err := t.group(r.gid); err == nil {
		t.n.moved(&g.slot, r.status.State, 0)
		g.jobs--
		g.dirty = true
	}
}

// sweepIndexes finds the index entries of a job whose status cannot be read:
// by its immutable part where that still can, else by a search. The counts
// follow what the entries tell.
func (t *txn) sweepIndexes(seq uint64, raw []byte) {
	var j queue.Job
	state := queue.Received
	slot := queue.Slot{}
	if decodeJob(seq, raw, &j) == nil {
		slot = slotOf(&j)
		if gid, ok := t.s.index.gid(slot); ok {
			order := orderKey(&j, seq)
			if b := t.bucket(bktReady); b.Get(readyKey(gid, order)) != nil {
				state = queue.Claimed
				t.del(bktReady, readyKey(gid, order))
				t.deltas = append(t.deltas, delta{gid: gid, key: string(order), seq: seq})
			}
			if g, err := t.group(gid); err == nil {
				g.jobs--
				g.dirty = true
			}
		}
	}
	for _, name := range []string{bktDue, bktFinished} {
		c := t.bucket(name).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if (name == bktDue && seqOf(k) == seq) || (name == bktFinished && bytes.Equal(v, seqKey(seq))) {
				state = map[string]queue.State{bktDue: queue.Waiting, bktFinished: queue.Finished}[name]
				t.del(name, slices.Clone(k))
				t.finDue = true
				break
			}
		}
	}
	if t.n.States[state] > 0 {
		t.n.moved(&slot, state, 0)
	}
}
