package simulator

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// rawTime is the layout of a stored date, always in UTC (Table API documentation).
const rawTime = "2006-01-02 15:04:05"

// store holds all tables and their business rules. It does no locking: its
// owner calls it under Instance.mu, and takes the collected events away before
// unlocking.
type store struct {
	now     func() time.Time
	opt     *Options
	tables  map[string]*table
	journal map[string][]*row // entries of sys_journal_field by element_id
	blobs   map[string][]byte // contents of attachments
	rng     *rand.Rand
	events  []Event
	heard   func() bool // whether anybody wants events
	dirty   bool        // something changed in this transaction
	eventNo uint64
	later   []delayed // timers that a business rule asked for

	stamp    int64 // second that stampStr shows
	stampStr string
	seqMilli int64
	seqNo    int

	lastInput map[string]time.Time // when an agent last inserted an input
	beat      time.Time            // when the last heartbeat was sent
	retries   map[string]int       // retry policy runs by output
	paid      []string             // outputs in the order of their end, for KeepPayloads
}

// delayed is work that must be done under the lock after a time.
type delayed struct {
	after time.Duration
	do    func()
}

func newStore(opt *Options) (*store, error) {
	s := &store{
		now: opt.Now, opt: opt, tables: map[string]*table{}, journal: map[string][]*row{}, blobs: map[string][]byte{},
		rng:       rand.New(rand.NewPCG(opt.Seed, opt.Seed^0x9e3779b97f4a7c15)), //nolint:gosec // record ids must be reproducible from the seed, not secret
		lastInput: map[string]time.Time{}, retries: map[string]int{},
	}
	for _, def := range append(defaultTables(), opt.Tables...) {
		if err := s.define(def); err != nil {
			return nil, err
		}
	}
	for name, acl := range opt.ACL {
		t := s.tables[name]
		if t == nil {
			return nil, fmt.Errorf("acl for table %q: no such table", name)
		}
		t.acl = acl
	}
	q := s.tables["ecc_queue"]
	q.ecc = newECCIndex(q)
	return s, nil
}

// define adds a table or replaces one that has no records yet.
func (s *store) define(def Table) error {
	var parent *table
	if def.Extends != "" {
		if parent = s.tables[def.Extends]; parent == nil {
			return fmt.Errorf("table %q extends %q: no such table", def.Name, def.Extends)
		}
	}
	t, err := newTable(def, parent)
	if err != nil {
		return err
	}
	s.tables[def.Name] = t
	for _, p := range def.Policies {
		c := compiledPolicy{when: s.compile(p.When, t, &viewer{zone: time.UTC})}
		for _, m := range p.Mandatory {
			i, ok := t.index[m]
			if !ok {
				return fmt.Errorf("table %q: data policy names the unknown column %q", def.Name, m)
			}
			c.mandatory = append(c.mandatory, i)
		}
		t.policies = append(t.policies, c)
	}
	return nil
}

// timestamp is the present second as a stored date. The string is shared by all
// records of one second.
func (s *store) timestamp() string {
	now := s.now()
	if u := now.Unix(); u != s.stamp || s.stampStr == "" {
		s.stamp, s.stampStr = u, now.UTC().Format(rawTime)
	}
	return s.stampStr
}

// newID returns 32 lower-case hex digits.
func (s *store) newID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.rng.Uint64())
	binary.BigEndian.PutUint64(b[8:], s.rng.Uint64())
	return hex.EncodeToString(b[:])
}

// sequence returns the next value of ecc_queue.sequence: eleven hex digits of
// the epoch in milliseconds and a counter of seven digits.
func (s *store) sequence() string {
	if ms := s.now().UnixMilli(); ms > s.seqMilli {
		s.seqMilli, s.seqNo = ms, 0
	}
	s.seqNo++
	var buf [32]byte
	b := buf[:0]
	hexMilli := strconv.AppendInt(nil, s.seqMilli, 16)
	for n := len(hexMilli); n < 11; n++ {
		b = append(b, '0')
	}
	b = append(b, hexMilli...)
	for limit := 1_000_000; limit > s.seqNo && limit > 1; limit /= 10 {
		b = append(b, '0')
	}
	return string(strconv.AppendInt(b, int64(s.seqNo), 10))
}

// property returns a system property, def when it is not set.
func (s *store) property(name, def string) string {
	t := s.tables["sys_properties"]
	at, val := t.index["name"], t.index["value"]
	for _, r := range t.rows {
		if r != nil && r.vals[at] == name {
			return r.vals[val]
		}
	}
	return def
}

// propertyInt is property for a number.
func (s *store) propertyInt(name string, def int64) int64 {
	n, err := strconv.ParseInt(s.property(name, ""), 10, 64)
	if err != nil {
		return def
	}
	return n
}

// takeEvents hands over what the transaction left behind: its events, its timers
// and whether it changed anything.
func (s *store) takeEvents() (events []Event, later []delayed, dirty bool) {
	events, later, dirty = s.events, s.later, s.dirty
	s.events, s.later, s.dirty = nil, nil, false
	return events, later, dirty
}

func (s *store) emit(op Operation, r *row, changed []string) {
	if s.opt.noEvents {
		return
	}
	s.eventNo++
	s.dirty = true
	if !s.heard() {
		return
	}
	s.events = append(s.events, Event{Seq: s.eventNo, Op: op, Table: r.t.def.Name, SysID: r.id(), Changed: changed, Time: s.now()})
}
