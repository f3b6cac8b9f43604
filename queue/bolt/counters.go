package bolt

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// counters is the summary that every commit writes with its changes, so that
// neither opening nor Counts has to look at jobs. The fields without a JSON
// name count from the opening on.
type counters struct {
	NextSeq   uint64                      `json:"next_seq"`
	NextFin   uint64                      `json:"next_fin"`
	NextKept  uint64                      `json:"next_kept"`
	NextGroup uint32                      `json:"next_group"`
	Kept      int64                       `json:"kept"`
	FileBytes int64                       `json:"file_bytes"`
	States    [queue.Released + 1]int64   `json:"states"`
	Unstarted map[string]queue.PoolCounts `json:"unstarted"`
	Broken    int                         `json:"broken"`

	results   [queue.Unknown + 1]uint64
	delivered uint64
	oldest    time.Time // of the first in finished
	nextDue   time.Time // of the first in due
	bytes     int64     // used pages of the database file
}

func (c counters) clone() counters {
	c.Unstarted = maps.Clone(c.Unstarted)
	if c.Unstarted == nil {
		c.Unstarted = map[string]queue.PoolCounts{}
	}
	return c
}

// moved counts a job from one state to another; state 0 is outside.
func (c *counters) moved(slot *queue.Slot, from, to queue.State) {
	if from != 0 && !from.Final() {
		c.States[from]--
	}
	if to != 0 && !to.Final() {
		c.States[to]++
	}
	was, is := from.Unstarted(), to.Unstarted()
	if was == is || int(slot.Pool) >= len(queue.PoolCounts{}) {
		return
	}
	u := c.Unstarted[slot.Instance]
	if is {
		u[slot.Pool]++
	} else {
		u[slot.Pool]--
	}
	if u == (queue.PoolCounts{}) {
		delete(c.Unstarted, slot.Instance)
		return
	}
	c.Unstarted[slot.Instance] = u
}

func (c *counters) encode() ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode counters: %w", err)
	}
	e := encoder{b}
	return e.sealed(0), nil
}

func decodeCounters(b []byte) (counters, error) {
	c := counters{NextSeq: 1, NextFin: 1, NextKept: 1, NextGroup: 1}
	if b == nil {
		return c.clone(), nil
	}
	d := unsealed(0, b)
	if d.err != nil {
		return c, d.err
	}
	if err := json.Unmarshal(d.b, &c); err != nil {
		return c, fmt.Errorf("decode counters: %w", err)
	}
	return c.clone(), nil
}

// Counts returns the summary as of the last commit; it touches no disk.
func (s *Store) Counts() queue.Counts {
	s.cmu.Lock()
	defer s.cmu.Unlock()
	c := &s.counts
	out := queue.Counts{
		States: map[queue.State]int{}, Unstarted: maps.Clone(c.Unstarted), Results: map[queue.Result]uint64{},
		Delivered: c.delivered, Oldest: c.oldest, Quarantined: c.Broken, Bytes: c.bytes + c.FileBytes,
	}
	for st, n := range c.States {
		if n != 0 {
			out.States[queue.State(st)] = int(n)
		}
	}
	for r, n := range c.results {
		if n != 0 {
			out.Results[queue.Result(r)] = n
		}
	}
	return out
}
