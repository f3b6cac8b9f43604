package simulator

import (
	"strings"
	"time"
)

// system is the user in whose name business rules write.
const system = "system"

// beforeECCInsert completes a new record of ecc_queue.
func (s *store) beforeECCInsert(e *eccIndex, r *row) {
	if r.vals[e.sequence] == "" {
		r.vals[e.sequence] = s.sequence()
	}
	if r.vals[e.state] == "" {
		r.vals[e.state] = "ready"
	}
	if r.vals[e.queue] == "input" && r.vals[e.state] == "ready" {
		s.sensor(e, r)
	}
}

// sensor is the rule that runs on nearly every input: where the echoed
// parameters do not hold skip_sensor=true it looks for a sensor, finds none and
// marks the input (KB0727028, KB0694711). Topics of the MID Server's own
// bookkeeping have their sensors here.
func (s *store) sensor(e *eccIndex, r *row) {
	switch r.vals[e.topic] {
	case "queue.processing", "queue.stats", "HeartbeatProbe":
		r.vals[e.state] = "processed"
		r.vals[e.processed] = s.timestamp()
		return
	}
	if !skipsSensor(r.vals[e.payload]) {
		r.vals[e.state] = "error"
		r.vals[e.errorString] = "No sensors defined"
		r.vals[e.processed] = s.timestamp()
	}
}

// skipsSensor looks for the echoed parameter skip_sensor=true.
func skipsSensor(payload string) bool {
	if !strings.Contains(payload, "skip_sensor") {
		return false
	}
	found, inside := false, false
	scanTags(payload, func(t xmlTag) bool {
		switch t.name {
		case "parameters":
			inside = true
		case "parameter":
			found = inside && t.attr("name") == "skip_sensor" && t.attr("value") == "true"
		}
		return !found
	})
	return found
}

// afterECCInsert runs the business rules of ecc_queue.
func (s *store) afterECCInsert(e *eccIndex, r *row) {
	switch r.vals[e.queue] {
	case "input":
		s.inputArrived(e, r)
	case "output":
		if r.vals[e.agent] == allAgents {
			s.fanOut(e, r)
		}
	}
}

func (s *store) inputArrived(e *eccIndex, r *row) {
	s.lastInput[r.vals[e.agent]] = s.now()
	switch r.vals[e.topic] {
	case "queue.processing":
		s.markOutputsState(e, r)
		return
	case "HeartbeatProbe":
		s.heartbeatAnswered(r.vals[e.agent])
	}
	s.markOutputProcessed(e, r)
}

// markOutputsState is the rule "ECC Queue - mark outputs state": the input lists
// outputs with the state that they shall have (KB0855595). It asks neither whose
// outputs they are nor which state they had: a late claim of a processed output
// puts it back to processing.
func (s *store) markOutputsState(e *eccIndex, r *row) {
	t := r.t
	scanTags(r.vals[e.payload], func(tag xmlTag) bool {
		if tag.name != "sys_id" {
			return true
		}
		state := tag.attr("state")
		switch state {
		case "processing", "cancelled", "processed":
		default:
			return true
		}
		out := t.byID[strings.TrimSpace(tag.after)]
		if out != nil && out.vals[e.queue] == "output" {
			s.setOutputState(e, out, state)
		}
		return true
	})
}

func (s *store) setOutputState(e *eccIndex, out *row, state string) {
	if out.vals[e.state] == state {
		return
	}
	set := []change{{e.state, state}}
	if state != "ready" {
		set = append(set, change{e.processed, s.timestamp()})
	}
	// ecc_queue has no data policy that could refuse this.
	_ = s.update(out, system, set)
	if state == "processed" {
		s.forgetOldPayloads(e, out)
	}
}

// markOutputProcessed is the rule "ECC Queue - mark outputs processed": an input
// with response_to finishes its output, whatever its state was.
func (s *store) markOutputProcessed(e *eccIndex, r *row) {
	out := r.t.byID[r.vals[e.responseTo]]
	if out == nil || out.vals[e.queue] != "output" {
		return
	}
	s.setOutputState(e, out, "processed")
	s.retryPolicy(e, r, out)
}

// forgetOldPayloads drops the payloads of outputs that ended long ago, and of
// their inputs, so that a long run needs bounded memory.
func (s *store) forgetOldPayloads(e *eccIndex, out *row) {
	if s.opt.KeepPayloads <= 0 {
		return
	}
	s.paid = append(s.paid, out.id())
	for len(s.paid) > s.opt.KeepPayloads {
		if old := out.t.byID[s.paid[0]]; old != nil && old.vals[e.state] == "processed" {
			old.vals[e.payload] = ""
			for _, in := range e.answers[s.paid[0]] {
				in.vals[e.payload] = ""
			}
		}
		s.paid = s.paid[1:]
	}
}

// RetryPolicy re-queues an output when an input answers it with an error, as a
// record of the ECC Queue Retry Policy plugin (com.glideapp.ecc_retry_policy)
// does.
type RetryPolicy struct {
	Topic   string        // the topic that it holds for; empty for all
	Matches string        // text that the error must contain
	After   time.Duration // how long the output rests before it is ready again
	Max     int           // how often one output is re-queued
}

func (s *store) retryPolicy(e *eccIndex, in, out *row) {
	if len(s.opt.RetryPolicies) == 0 {
		return
	}
	text := errorOf(in.vals[e.payload])
	if text == "" {
		return
	}
	for _, p := range s.opt.RetryPolicies {
		if (p.Topic != "" && p.Topic != out.vals[e.topic]) || !strings.Contains(text, p.Matches) || s.retries[out.id()] >= p.Max {
			continue
		}
		s.retries[out.id()]++
		s.later = append(s.later, delayed{p.After, func() {
			if out.t.byID[out.id()] == out {
				s.setOutputState(e, out, "ready")
			}
		}})
		return
	}
}

// errorOf returns the error attribute of a result.
func errorOf(payload string) (text string) {
	scanTags(payload, func(t xmlTag) bool {
		if t.name == "results" || t.name == "result" {
			text = t.attr("error")
		}
		return text == ""
	})
	return text
}
