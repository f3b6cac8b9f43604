package simulator

import (
	"strings"
	"time"
)

const (
	agentPrefix = "mid.server."
	allAgents   = "mid.server.*"
)

// fanOut is the rule "Probe - All MIDs": an output for mid.server.* is copied to
// every agent whatever its status, and is itself done (KB0855595).
func (s *store) fanOut(e *eccIndex, r *row) {
	agents := s.tables["ecc_agent"]
	name := agents.index["name"]
	agents.each(func(a *row) bool {
		set := []change{
			{e.agent, agentPrefix + a.vals[name]},
			{e.topic, r.vals[e.topic]},
			{e.name, r.vals[e.name]},
			{e.source, r.vals[e.source]},
			{e.queue, "output"},
			{e.state, "ready"},
			{e.priority, r.vals[e.priority]},
			{e.payload, r.vals[e.payload]},
			{e.correlator, r.vals[e.correlator]},
		}
		_, _ = s.insert(r.t, system, "", set) // ecc_queue has no data policy that could refuse this
		return true
	})
	s.setOutputState(e, r, "processed")
}

// agentRow finds the ecc_agent record of an ecc_queue agent value.
func (s *store) agentRow(agent string) *row {
	want, ok := strings.CutPrefix(agent, agentPrefix)
	if !ok {
		return nil
	}
	t := s.tables["ecc_agent"]
	name := t.index["name"]
	var found *row
	t.each(func(r *row) bool {
		if r.vals[name] == want {
			found = r
		}
		return found == nil
	})
	return found
}

// heartbeatAnswered is the rule "MID - Heartbeat".
func (s *store) heartbeatAnswered(agent string) {
	if a := s.agentRow(agent); a != nil {
		s.setAgent(a, "Up", true)
	}
}

func (s *store) setAgent(a *row, status string, refreshed bool) {
	t := a.t
	set := []change{{t.index["status"], status}}
	if refreshed {
		set = append(set, change{t.index["last_refreshed"], s.timestamp()})
	}
	_ = s.update(a, system, set) // ecc_agent has no data policy
}

// heartbeat is the job "MID Server Monitor": it closes the heartbeats that
// nobody took, marks the agents down that neither refreshed nor inserted
// anything since the last one, and sends the next.
func (s *store) heartbeat() {
	q, agents := s.tables["ecc_queue"], s.tables["ecc_agent"]
	e := q.ecc
	now := s.now()
	if !s.beat.IsZero() {
		var open []*row
		for k, b := range e.buckets {
			if k.queue != "output" || k.state != "ready" || k.agent == allAgents {
				continue
			}
			b.each(0, func(r *row) bool {
				if r.pri == 0 && r.vals[e.topic] == "HeartbeatProbe" && !s.older(r, 10*time.Minute) {
					open = append(open, r)
				}
				return r.pri == 0 // heartbeats are interactive: the rest of the bucket holds none
			})
		}
		for _, r := range open {
			s.setOutputState(e, r, "processed")
		}
		agents.each(func(a *row) bool {
			s.judge(a)
			return true
		})
	}
	s.beat = now
	_, _ = s.insert(q, system, "", []change{ // ecc_queue has no data policy
		{e.agent, allAgents}, {e.topic, "HeartbeatProbe"}, {e.queue, "output"}, {e.state, "ready"}, {e.priority, "0"},
	})
}

// judge marks an agent down that gave no sign of life since the last heartbeat.
func (s *store) judge(a *row) {
	agent := agentPrefix + a.get("name")
	seen, err := time.Parse(rawTime, a.get("last_refreshed"))
	alive := err == nil && !seen.Before(s.beat.Add(-5*time.Second).Truncate(time.Second))
	if alive || s.lastInput[agent].After(s.beat) || a.get("status") == "Down" {
		return
	}
	s.setAgent(a, "Down", false)
	if to := s.opt.FailOver[a.get("name")]; to != "" {
		s.failOver(agent, agentPrefix+to)
	}
}

// older reports whether a record was created more than d ago.
func (s *store) older(r *row, d time.Duration) bool {
	at, err := time.Parse(rawTime, r.vals[colCreatedOn])
	return err == nil && s.now().Sub(at) > d
}

// failOver is the script action "Fail over MID server": ready and processing
// outputs of the last 30 days go to another agent as ready, except those that
// only their own host can do, and the new agent is told to look back.
func (s *store) failOver(from, to string) int {
	q := s.tables["ecc_queue"]
	e := q.ecc
	var moved []*row
	for _, state := range []string{"ready", "processing"} {
		b := e.buckets[bucketKey{from, "output", state}]
		if b == nil {
			continue
		}
		b.each(0, func(r *row) bool {
			switch r.vals[e.topic] {
			case "SystemCommand", "HeartbeatProbe", "config.file", "Command":
				return true
			}
			if !s.older(r, 30*24*time.Hour) {
				moved = append(moved, r)
			}
			return true
		})
	}
	for _, r := range moved {
		_ = s.update(r, system, []change{{e.agent, to}, {e.state, "ready"}}) // ecc_queue has no data policy
	}
	if len(moved) > 0 {
		_, _ = s.insert(q, system, "", []change{ // ecc_queue has no data policy
			{e.agent, to},
			{e.topic, "SystemCommand"},
			{e.source, "resetQueryWindow"},
			{e.queue, "output"},
			{e.priority, "0"},
			{e.payload, `<?xml version="1.0" encoding="UTF-8"?><parameters><parameter name="skip_sensor" value="true"/></parameters>`},
		})
	}
	return len(moved)
}
