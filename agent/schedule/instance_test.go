package schedule_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/intake"
)

const (
	us   = "mid.server.us"
	them = "mid.server.them"
	// cutoff is the longest that a request of ours can still be executed after
	// its connection was cut; the stages' settle time is above it.
	cutoff = 50 * time.Second
)

// record is one row of the model's ECC queue.
type record struct {
	id, queue, agent, topic, name, state, payload, responseTo string
	priority, seq, mod                                        int
	created                                                   time.Time
	readied                                                   int       // how often someone made it ready again
	readiedAt                                                 time.Time // the last time of that
	gone                                                      bool      // we were shown that it is another agent's
}

// instance is the model of an instance: the life cycle of KB0855595 and faults
// by chance.
type instance struct {
	w       *world
	rows    map[string]*record
	outputs []*record // in the order of creation
	inputs  map[string][]*record
	pending []pending // inserts that execute after their connection was cut
	faults  bool
	stale   []ecc.Message // a page of the past, as a lagging replica shows it
	n       int
}

type pending struct {
	at time.Time
	do func()
}

func newInstance(w *world) *instance {
	return &instance{w: w, rows: map[string]*record{}, inputs: map[string][]*record{}, faults: true}
}

func (in *instance) newID() string {
	in.n++
	return fmt.Sprintf("%032x", in.n)
}

// output puts work into the queue.
func (in *instance) output(topic, name string, priority int) *record {
	r := &record{
		id: in.newID(), queue: "output", agent: us, topic: topic, name: name, state: "ready",
		priority: priority, seq: in.n, created: in.w.now,
	}
	in.rows[r.id] = r
	in.outputs = append(in.outputs, r)
	return r
}

// set changes an output as a person or a business rule does.
func (in *instance) set(r *record, agent, state string) {
	if state == "ready" && agent == us {
		r.readied++
		r.readiedAt = in.w.now
		r.gone = false
	}
	r.agent, r.state = agent, state
	r.mod++
	in.w.logf("instance: %s is %s of %s (%d)", short(r.id), state, agent, r.mod)
}

func short(id string) string { return id[len(id)-4:] }

// settlePending executes what was cut and is due.
func (in *instance) settlePending() {
	in.pending = slices.DeleteFunc(in.pending, func(p pending) bool {
		if p.at.After(in.w.now) {
			return false
		}
		p.do()
		return true
	})
}

// request is one call to the instance: it gives way, may fail before or after
// its effect, and may be executed after its connection was cut.
func (in *instance) request(what string, effect func()) error {
	in.w.point()
	in.settlePending()
	if !in.faults {
		effect()
		in.w.point()
		return nil
	}
	switch in.w.rng.IntN(20) {
	case 0:
		return fault.New(fault.Unavailable, what, "model", errors.New("refused"))
	case 1:
		in.w.logf("instance: %s cut before its effect", what)
		in.w.pause(in.w.now.Add(time.Second))
		return fault.New(fault.Unknown, what, "model", io.ErrUnexpectedEOF)
	case 2:
		effect()
		in.w.logf("instance: %s cut after its effect", what)
		in.w.point()
		return fault.New(fault.Unknown, what, "model", io.ErrUnexpectedEOF)
	case 3:
		in.w.logf("instance: %s cut, and executed later", what)
		at := in.w.now.Add(time.Duration(in.w.rng.Int64N(int64(cutoff))))
		in.pending = append(in.pending, pending{at: at, do: effect})
		in.w.point()
		return fault.New(fault.Unknown, what, "model", io.ErrUnexpectedEOF)
	case 4:
		in.w.pause(in.w.now.Add(time.Duration(in.w.rng.IntN(20)) * time.Second))
		effect()
		in.w.point()
		return nil
	default:
		effect()
		in.w.point()
		return nil
	}
}

func (r *record) message() ecc.Message {
	return ecc.Message{
		SysID: r.id, Agent: r.agent, Topic: r.topic, Name: r.name, Queue: r.queue, State: r.state,
		Payload: r.payload, Priority: r.priority, Sequence: fmt.Sprintf("%018d", r.seq), ModCount: int64(r.mod), Created: r.created,
	}
}

// Ready implements intake.Instance.
func (in *instance) Ready(_ context.Context, offset, limit int) (page []ecc.Message, last bool, err error) {
	err = in.request("read", func() {
		var rows []*record
		for _, r := range in.outputs {
			if r.agent == us && r.state == "ready" {
				rows = append(rows, r)
			}
		}
		slices.SortStableFunc(rows, func(a, b *record) int {
			return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.seq, b.seq))
		})
		for _, r := range rows[min(offset, len(rows)):min(offset+limit, len(rows))] {
			page = append(page, r.message())
		}
		last = len(page) < limit
	})
	if err != nil {
		return nil, false, err
	}
	if in.faults && in.w.chance(20) && len(in.stale) > 0 {
		return in.stale, true, nil
	}
	in.stale = page
	return page, last, nil
}

// Processing implements intake.Instance.
func (in *instance) Processing(_ context.Context, after string, limit int) (page []ecc.Message, err error) {
	err = in.request("read", func() {
		for _, r := range in.outputs {
			if r.agent == us && r.state == "processing" && r.id > after && len(page) < limit {
				page = append(page, r.message())
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// Look implements intake.Instance.
func (in *instance) Look(_ context.Context, ids []string) (map[string]intake.Standing, error) {
	found := map[string]intake.Standing{}
	err := in.request("look", func() {
		for _, id := range ids {
			if r := in.rows[id]; r != nil {
				r.gone = r.gone || r.agent != us
				found[id] = intake.Standing{Agent: r.agent, State: r.state, ModCount: int64(r.mod)}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Claim implements intake.Instance: the insert of a queue.processing input.
func (in *instance) Claim(_ context.Context, ids []string) error {
	return in.request("claim", func() { in.mark(ids, "processing") })
}

// Settle implements intake.Instance.
func (in *instance) Settle(_ context.Context, ids []string) error {
	return in.request("settle", func() { in.mark(ids, "processed") })
}

func (in *instance) mark(ids []string, state string) {
	for _, id := range ids {
		if r := in.rows[id]; r != nil && (r.state == "ready" || r.state == "processing") && r.state != state {
			r.state = state
			r.mod++
		}
	}
}

// Payload implements intake.Instance.
func (in *instance) Payload(context.Context, string) (string, error) {
	return "", errors.New("the model has no attachments")
}

// Post implements delivery.Instance.
func (in *instance) Post(_ context.Context, messages []ecc.Message) []delivery.Receipt {
	receipts := make([]delivery.Receipt, len(messages))
	for i, m := range messages {
		id := in.newID()
		err := in.request("post", func() { in.insert(id, m) })
		receipts[i] = delivery.Receipt{SysID: id, Err: err}
	}
	return receipts
}

func (in *instance) insert(id string, m ecc.Message) {
	in.w.logf("instance: report %s for %s: %s", short(id), short(m.ResponseTo), m.Topic)
	r := &record{
		id: id, queue: "input", agent: m.Agent, topic: m.Topic, name: m.Name, state: m.State,
		payload: m.Payload, responseTo: m.ResponseTo, created: in.w.now,
	}
	in.rows[id] = r
	in.inputs[m.ResponseTo] = append(in.inputs[m.ResponseTo], r)
	if out := in.rows[m.ResponseTo]; out != nil && out.state != "processed" {
		out.state = "processed"
		out.mod++
	}
}

// Find implements delivery.Instance.
func (in *instance) Find(_ context.Context, keys []delivery.Key) (map[delivery.Key][]string, error) {
	found := map[delivery.Key][]string{}
	err := in.request("find", func() {
		for _, k := range keys {
			for _, r := range in.inputs[k.ResponseTo] {
				if r.topic == k.Topic && r.name == k.Name && r.agent == k.Agent {
					found[k] = append(found[k], r.id)
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Attach implements delivery.Instance.
func (in *instance) Attach(context.Context, string, string, int64, func() (io.ReadCloser, error)) (string, error) {
	return "", errors.New("the model has no attachments")
}
