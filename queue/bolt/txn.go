package bolt

import (
	"errors"
	"strconv"
	"time"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/queue"
)

// txn is the writer's transaction: the buckets, the counters as they will be,
// and what is to be done in memory and on disk once it is committed.
type txn struct {
	s  *Store
	tx *bbolt.Tx
	id int
	n  counters

	buckets map[string]*bbolt.Bucket
	groups  map[uint32]*groupRecord // those that this transaction looked at
	gids    map[queue.Slot]uint32   // those that it made
	finDue  bool                    // finished or due was changed

	deltas  []delta
	removes []string // body files that nothing refers to any more
}

// groupRecord counts the open jobs of a slot.
type groupRecord struct {
	slot  queue.Slot
	jobs  int64
	dirty bool
}

func (s *Store) newTxn(tx *bbolt.Tx) *txn {
	s.cmu.Lock()
	n := s.counts.clone()
	s.cmu.Unlock()
	return &txn{
		s: s, tx: tx, id: tx.ID(), n: n, buckets: map[string]*bbolt.Bucket{},
		groups: map[uint32]*groupRecord{}, gids: map[queue.Slot]uint32{},
	}
}

// run gives one operation its turn.
func (t *txn) run(o *op) error { return safely(func() error { return o.do(t) }) }

func (t *txn) bucket(name string) *bbolt.Bucket {
	b := t.buckets[name]
	if b == nil {
		b = t.tx.Bucket([]byte(name))
		switch name {
		case bktJobs, bktStatus, bktBodies, bktDone, bktFinished, bktKept:
			b.FillPercent = 0.9 // keys only grow
		}
		t.buckets[name] = b
	}
	return b
}

// must stops an operation whose write bbolt refuses: sizes are checked before,
// so it is a defect, and the transaction is made again without the operation.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (t *txn) put(bucket string, key, value []byte) { must(t.bucket(bucket).Put(key, value)) }
func (t *txn) del(bucket string, key []byte)        { must(t.bucket(bucket).Delete(key)) }

// commit writes what every transaction ends with, and commits.
func (t *txn) commit() error {
	return safely(func() error {
		for gid, g := range t.groups {
			switch {
			case !g.dirty:
			case g.jobs > 0:
				t.put(bktGroups, gidKey(gid), encodeSlot(g.slot, g.jobs))
			default:
				t.del(bktGroups, gidKey(gid))
			}
		}
		if t.finDue {
			t.heads()
		}
		b, err := t.n.encode()
		if err != nil {
			return err
		}
		t.put(bktMeta, []byte(keyCounters), b)
		return t.tx.Commit()
	})
}

// heads reads the oldest outcome and the next due time.
func (t *txn) heads() {
	t.n.oldest, t.n.nextDue = time.Time{}, time.Time{}
	if k, _ := t.bucket(bktDue).Cursor().First(); k != nil {
		t.n.nextDue = dueTime(k)
	}
	if _, v := t.bucket(bktFinished).Cursor().First(); v != nil {
		var r record
		if seq := seqOf(v); decodeRecord(seq, t.bucket(bktStatus).Get(seqKey(seq)), &r) == nil {
			t.n.oldest = r.status.Changed
		}
	}
}

// apply makes memory follow what is now durable.
func (t *txn) apply() {
	s := t.s
	used := s.usedBytes()
	for _, name := range t.removes {
		_ = s.files.remove(name) // an orphan is removed at the next opening
	}
	s.index.apply(t)
	s.cmu.Lock()
	defer s.cmu.Unlock()
	t.n.bytes = used
	s.counts = t.n
}

// group returns the record of a group that exists.
func (t *txn) group(gid uint32) (*groupRecord, error) {
	if g := t.groups[gid]; g != nil {
		return g, nil
	}
	slot, jobs, err := decodeSlot(t.bucket(bktGroups).Get(gidKey(gid)))
	if err != nil {
		return nil, brokenRecord("read queue", "group "+strconv.FormatUint(uint64(gid), 10), err)
	}
	g := &groupRecord{slot: slot, jobs: jobs}
	t.groups[gid] = g
	return g, nil
}

// join counts a new job into the group of its slot.
func (t *txn) join(slot queue.Slot) uint32 {
	gid, ok := t.gids[slot]
	if !ok {
		gid, ok = t.s.index.gid(slot)
	}
	if ok {
		if g, err := t.group(gid); err == nil {
			g.jobs++
			g.dirty = true
			if g.jobs == 1 { // it ended and begins again in one transaction
				t.gids[slot] = gid
			}
			return gid
		}
	}
	gid = t.n.NextGroup
	t.n.NextGroup++
	t.gids[slot] = gid
	t.groups[gid] = &groupRecord{slot: slot, jobs: 1, dirty: true}
	return gid
}

// lookup finds an open job by id. A final one gives its state's conflict by
// final=true.
func (t *txn) lookup(opName string, id queue.ID) (seq uint64, r record, final bool, err error) {
	seq, err = findSeq(t.bucket(bktIDs), id)
	if err != nil {
		return 0, r, false, err
	}
	if seq == 0 {
		return 0, r, false, notFound(opName, id)
	}
	if b := t.bucket(bktStatus).Get(seqKey(seq)); b != nil {
		if err := decodeRecord(seq, b, &r); err != nil {
			return 0, r, false, brokenRecord(opName, string(id), err)
		}
		return seq, r, false, nil
	}
	if b := t.bucket(bktDone).Get(seqKey(seq)); b != nil {
		if err := decodeDone(seq, b, &r, nil); err != nil {
			return 0, r, false, brokenRecord(opName, string(id), err)
		}
		return seq, r, true, nil
	}
	if t.bucket(bktBroken).Get(seqKey(seq)) != nil {
		return 0, r, false, brokenRecord(opName, string(id), errors.New("it is kept aside"))
	}
	return 0, r, false, notFound(opName, id)
}

// unplace takes a job out of the indexes by which it is leased.
func (t *txn) unplace(seq uint64, r *record) {
	switch r.place {
	case inReady:
		t.del(bktReady, readyKey(r.gid, r.order))
	case inDue:
		t.del(bktDue, dueKey(r.status.Until, seq))
		t.finDue = true
	case nowhere:
	}
	if r.place != nowhere {
		t.deltas = append(t.deltas, delta{gid: r.gid, key: string(r.order), seq: seq})
	}
	r.place = nowhere
}

// replace puts a job where its status wants it: among the ready, or among those
// that become so by time. unplace came before.
func (t *txn) replace(seq uint64, r *record) {
	switch st := &r.status; {
	case st.State == queue.Claimed:
		t.ready(seq, r)
	case (st.State == queue.Waiting || st.State == queue.Held) && !st.Until.IsZero():
		t.put(bktDue, dueKey(st.Until, seq), nil)
		r.place = inDue
		t.finDue = true
	}
}

func (t *txn) ready(seq uint64, r *record) {
	t.put(bktReady, readyKey(r.gid, r.order), nil)
	r.place = inReady
	t.deltas = append(t.deltas, delta{gid: r.gid, key: string(r.order), seq: seq, insert: true})
}
