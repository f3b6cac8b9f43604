package simulator

import (
	"slices"
	"strconv"
)

// bucketKey is what a poll asks for.
type bucketKey struct{ agent, queue, state string }

// eccIndex keeps the records of ecc_queue by agent, queue and state in the
// order of work, and inputs by the output that they answer.
type eccIndex struct {
	agent, topic, name, source, queue, state, priority, sequence int
	payload, responseTo, correlator, processed, errorString      int

	buckets map[bucketKey]*ordered
	answers map[string][]*row
}

func newECCIndex(t *table) *eccIndex {
	at := func(name string) int { return t.index[name] }
	return &eccIndex{
		agent: at("agent"), topic: at("topic"), name: at("name"), source: at("source"), queue: at("queue"), state: at("state"),
		priority: at("priority"), sequence: at("sequence"), payload: at("payload"), responseTo: at("response_to"),
		correlator: at("agent_correlator"), processed: at("processed"), errorString: at("error_string"),
		buckets: map[bucketKey]*ordered{}, answers: map[string][]*row{},
	}
}

func (e *eccIndex) key(r *row) bucketKey {
	return bucketKey{r.vals[e.agent], r.vals[e.queue], r.vals[e.state]}
}

func (e *eccIndex) add(r *row) {
	pri, err := strconv.ParseInt(r.vals[e.priority], 10, 32)
	if err != nil {
		pri = 2 // an unreadable priority counts as standard
	}
	r.pri = int32(pri)
	k := e.key(r)
	b := e.buckets[k]
	if b == nil {
		b = &ordered{ec: e}
		e.buckets[k] = b
	}
	b.add(r)
	if to := r.vals[e.responseTo]; to != "" {
		e.answers[to] = append(e.answers[to], r)
	}
}

func (e *eccIndex) remove(r *row) {
	k := e.key(r)
	if b := e.buckets[k]; b != nil {
		b.remove(r)
		if b.n == 0 {
			delete(e.buckets, k)
		}
	}
	to := r.vals[e.responseTo]
	if to == "" {
		return
	}
	left := slices.DeleteFunc(e.answers[to], func(x *row) bool { return x == r })
	if len(left) == 0 {
		delete(e.answers, to)
		return
	}
	e.answers[to] = left
}

// isKey reports whether a column is part of the index key, so that a change of
// it must move the record.
func (e *eccIndex) isKey(col int) bool {
	switch col {
	case e.agent, e.queue, e.state, e.priority, e.sequence, e.responseTo:
		return true
	}
	return false
}

// isBucket reports whether a column's value is the same for a whole bucket.
func (e *eccIndex) isBucket(col int) bool {
	return col == e.agent || col == e.queue || col == e.state
}
