package bolt

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/queue"
)

const (
	windowLoad = 64  // keys that a group reads at once
	windowMax  = 256 // keys that a group holds at most
)

// index is what leasing needs in memory: for each slot a window on the first of
// its ready jobs. The rest stays on disk, so that memory does not grow with the
// backlog, only with the number of slots.
//
// Lock order: index.mu before Store.dbmu. The writer applies changes after the
// commit, so a window may already show what a change is about to insert, never
// what a change is about to miss; inserting twice and removing what is not
// there do nothing.
type index struct {
	mu      sync.Mutex
	groups  map[uint32]*group
	slots   map[queue.Slot]uint32
	order   []*group // those with a window, by their first key
	leased  map[uint64]lease
	ids     map[queue.ID]uint64 // of leased jobs
	later   map[uint64]struct{} // leased jobs that a Mark made due at another time
	changed chan struct{}
}

type lease struct {
	gid uint32
	key string
	id  queue.ID
	tx  int // the transaction that the job was read from
}

// group is one slot's window: keys in order, and whether more are on disk
// behind the last key that was looked at.
type group struct {
	gid  uint32
	slot queue.Slot
	keys []string
	last string
	more bool
	head string // the first key by which it stands in order; "" where it does not
}

// delta is a change to the index by a committed transaction.
type delta struct {
	gid     uint32
	seq     uint64
	key     string
	insert  bool // else remove, or unlease
	unlease bool
	// postponed: a Mark gave it another due time, leased or not.
	postponed bool
}

func newIndex() *index {
	return &index{
		groups: map[uint32]*group{}, slots: map[queue.Slot]uint32{}, leased: map[uint64]lease{},
		ids: map[queue.ID]uint64{}, later: map[uint64]struct{}{}, changed: make(chan struct{}),
	}
}

func (x *index) gid(slot queue.Slot) (uint32, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	gid, ok := x.slots[slot]
	return gid, ok
}

// apply follows a committed transaction.
func (x *index) apply(t *txn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for slot, gid := range t.gids {
		if x.groups[gid] == nil {
			x.addGroup(gid, slot)
		}
	}
	woken := t.finDue
	touched := map[*group]struct{}{}
	for i := range t.deltas {
		d := &t.deltas[i]
		g := x.groups[d.gid]
		switch {
		case d.postponed:
			if _, leased := x.leased[d.seq]; leased {
				x.later[d.seq] = struct{}{}
			}
			continue
		case d.unlease:
			// A job that was leased as this very transaction left it stays leased:
			// the commit shows before it is applied here.
			if l, ok := x.leased[d.seq]; ok && l.tx < t.id {
				x.unlease(d.seq)
			}
			continue
		case g == nil:
			continue
		case d.insert:
			if _, leased := x.leased[d.seq]; !leased {
				g.insert(d.key)
				woken = true
			}
		default:
			g.remove(d.key)
		}
		touched[g] = struct{}{}
	}
	for g := range touched {
		x.place(g)
	}
	for gid := range t.emptied() {
		x.dropGroup(gid)
	}
	if woken {
		x.wake()
	}
}

func (x *index) wake() {
	close(x.changed)
	x.changed = make(chan struct{})
}

func (x *index) addGroup(gid uint32, slot queue.Slot) *group {
	g := &group{gid: gid, slot: slot}
	x.groups[gid] = g
	x.slots[slot] = gid
	return g
}

func (x *index) dropGroup(gid uint32) {
	g := x.groups[gid]
	if g == nil {
		return
	}
	g.keys, g.more = nil, false
	x.place(g)
	delete(x.groups, gid)
	if x.slots[g.slot] == gid {
		delete(x.slots, g.slot)
	}
}

func (x *index) unlease(seq uint64) lease {
	l := x.leased[seq]
	delete(x.leased, seq)
	delete(x.ids, l.id)
	delete(x.later, seq)
	return l
}

// place keeps order sorted after the first key of a group changed.
func (x *index) place(g *group) {
	head := ""
	if len(g.keys) > 0 {
		head = g.keys[0]
	}
	if head == g.head && (head != "" || !g.more) {
		return
	}
	if g.head != "" {
		if i, ok := x.find(g.head); ok {
			x.order = slices.Delete(x.order, i, i+1)
		}
	}
	if head == "" && g.more { // the window ran dry; Lease reads on
		head = g.last
	}
	g.head = head
	if head != "" {
		i, _ := x.find(head)
		x.order = slices.Insert(x.order, i, g)
	}
}

func (x *index) find(head string) (int, bool) {
	return slices.BinarySearchFunc(x.order, head, func(g *group, h string) int { return cmp.Compare(g.head, h) })
}

// insert adds a key, unless it lies behind the window, where it is found later.
func (g *group) insert(key string) {
	if g.more && key > g.last {
		return
	}
	i, found := slices.BinarySearch(g.keys, key)
	if found {
		return
	}
	g.keys = slices.Insert(g.keys, i, key)
	if !g.more {
		g.last = max(g.last, key)
	}
	if len(g.keys) > windowMax {
		g.keys = append(make([]string, 0, windowMax+1), g.keys[:windowMax/2]...)
		g.last, g.more = g.keys[len(g.keys)-1], true
	}
}

func (g *group) remove(key string) {
	if i, found := slices.BinarySearch(g.keys, key); found {
		g.keys = slices.Delete(g.keys, i, i+1)
	}
}

// load reads on behind the last key of a group whose window ran dry.
func (x *index) load(tx *bbolt.Tx, g *group) {
	prefix := gidKey(g.gid)
	from := append(bytes.Clone(prefix), g.last...)
	c := tx.Bucket([]byte(bktReady)).Cursor()
	k, _ := c.Seek(from)
	g.more = false
	for ; bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		key := string(k[len(prefix):])
		if key <= g.last && g.last != "" {
			continue
		}
		if len(g.keys) >= windowLoad {
			g.more = true
			return
		}
		g.last = key
		if _, leased := x.leased[seqOf(k)]; !leased {
			g.keys = append(g.keys, key)
		}
	}
}

// rebuild reads the index and the counters anew from the file; nothing is
// leased then.
func (s *Store) rebuild() error {
	x := newIndex()
	var n counters
	err := s.view("open queue", func(tx *bbolt.Tx) error {
		var err error
		if n, err = decodeCounters(tx.Bucket([]byte(bktMeta)).Get([]byte(keyCounters))); err != nil {
			return corruptFile(s.path, err)
		}
		t := txn{s: s, tx: tx, n: n, buckets: map[string]*bbolt.Bucket{}}
		t.heads()
		n = t.n
		return tx.Bucket([]byte(bktGroups)).ForEach(func(k, v []byte) error {
			slot, _, err := decodeSlot(v)
			if err != nil || len(k) != 4 {
				return corruptFile(s.path, errDecode)
			}
			g := x.addGroup(uint32(seqOf(append(make([]byte, 4), k...))), slot)
			x.load(tx, g)
			x.place(g)
			return nil
		})
	})
	if err != nil {
		return err
	}
	n.bytes = s.usedBytes()
	s.cmu.Lock()
	s.counts = n
	s.cmu.Unlock()
	if s.index == nil {
		s.index = x
		return nil
	}
	old := s.index
	old.mu.Lock()
	defer old.mu.Unlock()
	old.groups, old.slots, old.order = x.groups, x.slots, x.order
	old.leased, old.ids, old.later = x.leased, x.ids, x.later
	old.wake()
	return nil
}
