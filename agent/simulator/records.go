package simulator

import (
	"fmt"
	"math"
	"time"
)

// Record is one record with all its columns as stored.
type Record map[string]string

func (r *row) record() Record {
	out := make(Record, len(r.vals))
	for i := range r.t.cols {
		out[r.t.cols[i].Name] = r.vals[i]
	}
	return out
}

// Output is work for an agent.
type Output struct {
	SysID      string `json:"sys_id"` // chosen by the instance when empty
	Agent      string `json:"agent"`  // mid.server.NAME
	Topic      string `json:"topic"`
	Name       string `json:"name"`
	Source     string `json:"source"`
	Payload    string `json:"payload"`
	Priority   string `json:"priority"` // 2 when empty
	Correlator string `json:"agent_correlator"`
	Sequence   string `json:"sequence"` // the next one when empty
}

// PutOutput inserts one output in state ready and returns its sys_id.
func (in *Instance) PutOutput(o Output) string { return in.PutOutputs([]Output{o})[0] }

// PutOutputs inserts outputs in one transaction and returns their sys_ids.
func (in *Instance) PutOutputs(outs []Output) []string {
	ids := make([]string, 0, len(outs))
	in.write(func(s *store) {
		t := s.tables["ecc_queue"]
		e := t.ecc
		for i := range outs {
			o := &outs[i]
			set := []change{
				{e.agent, o.Agent},
				{e.topic, o.Topic},
				{e.name, o.Name},
				{e.source, o.Source},
				{e.payload, o.Payload},
				{e.correlator, o.Correlator},
				{e.sequence, o.Sequence},
				{e.queue, "output"},
				{e.state, "ready"},
			}
			if o.Priority != "" {
				set = append(set, change{e.priority, o.Priority})
			}
			r, _ := s.insert(t, system, o.SysID, set) // ecc_queue has no data policy
			ids = append(ids, r.id())
		}
	})
	return ids
}

// Insert adds a record to any table as the user system, past all ACLs, and
// returns its sys_id. Unknown columns are ignored.
func (in *Instance) Insert(table string, values Record) (string, error) {
	id, err := "", fmt.Errorf("insert into %s: no such table", table)
	in.write(func(s *store) {
		t := s.tables[table]
		if t == nil {
			return
		}
		var r *row
		if r, err = s.insert(t, system, values["sys_id"], t.changes(values)); err == nil {
			id = r.id()
		}
	})
	return id, err
}

// Update changes columns of a record as the user system, past all ACLs.
func (in *Instance) Update(table, sysID string, values Record) error {
	err := fmt.Errorf("update %s %s: no such record", table, sysID)
	in.write(func(s *store) {
		if r := s.lookup(table, sysID); r != nil {
			err = s.update(r, system, r.t.changes(values))
		}
	})
	return err
}

// Delete removes a record with its attachments. It reports whether there was one.
func (in *Instance) Delete(table, sysID string) bool {
	found := false
	in.write(func(s *store) {
		if r := s.lookup(table, sysID); r != nil {
			s.remove(r)
			found = true
		}
	})
	return found
}

func (s *store) lookup(table, sysID string) *row {
	t := s.tables[table]
	if t == nil {
		return nil
	}
	return t.find(sysID)
}

// Record returns a copy of a record, nil when there is none.
func (in *Instance) Record(table, sysID string) Record {
	in.mu.RLock()
	defer in.mu.RUnlock()
	if r := in.st.lookup(table, sysID); r != nil {
		return r.record()
	}
	return nil
}

// Query returns copies of the records that match an encoded query, read as the
// user system in UTC.
func (in *Instance) Query(table, encodedQuery string) ([]Record, error) {
	var out []Record
	err := in.search(table, encodedQuery, math.MaxInt32, func(sel selected) {
		for _, r := range sel.rows {
			out = append(out, r.record())
		}
	})
	return out, err
}

// Count is the number of records that match an encoded query.
func (in *Instance) Count(table, encodedQuery string) (int, error) {
	n := 0
	err := in.search(table, encodedQuery, 0, func(sel selected) { n = sel.total })
	return n, err
}

func (in *Instance) search(table, text string, limit int, use func(selected)) error {
	in.mu.RLock()
	defer in.mu.RUnlock()
	t := in.st.tables[table]
	if t == nil {
		return fmt.Errorf("query %s: no such table", table)
	}
	q := in.st.compile(text, t, &viewer{name: system, zone: time.UTC})
	if len(q.dropped) > 0 {
		return fmt.Errorf("query %s: the terms %q make no sense", table, q.dropped)
	}
	use(in.st.list(t, q, page{limit: limit}))
	return nil
}

// Tables lists the names of all tables in no order.
func (in *Instance) Tables() []string {
	in.mu.RLock()
	defer in.mu.RUnlock()
	out := make([]string, 0, len(in.st.tables))
	for name := range in.st.tables {
		out = append(out, name)
	}
	return out
}

// RunAgain is the UI action of that name: the output is ready again with a
// higher sys_mod_count. It reports whether there was such an output.
func (in *Instance) RunAgain(sysID string) bool { return in.setOutput(sysID, "state", "ready") }

// Cancel puts an output into state cancelled.
func (in *Instance) Cancel(sysID string) bool { return in.setOutput(sysID, "state", "cancelled") }

// Reassign gives an output to another agent (mid.server.NAME) without touching its state.
func (in *Instance) Reassign(sysID, agent string) bool { return in.setOutput(sysID, "agent", agent) }

func (in *Instance) setOutput(sysID, column, value string) bool {
	found := false
	in.write(func(s *store) {
		r := s.lookup("ecc_queue", sysID)
		if r == nil || r.get("queue") != "output" {
			return
		}
		found = true
		_ = s.update(r, "admin", []change{{r.t.index[column], value}}) // ecc_queue has no data policy
	})
	return found
}

// FailOver moves the ready and processing outputs of an agent to another, as the
// instance does when an agent goes Down, and returns how many it moved. Names
// are those of ecc_queue.agent (mid.server.NAME).
func (in *Instance) FailOver(from, to string) int {
	n := 0
	in.write(func(s *store) { n = s.failOver(from, to) })
	return n
}

// Attachment is a file on a record.
type Attachment struct {
	SysID, FileName, ContentType string
	Content                      []byte
}

// Attachments returns the files of a record. The contents must not be changed.
func (in *Instance) Attachments(sysID string) []Attachment {
	in.mu.RLock()
	defer in.mu.RUnlock()
	var out []Attachment
	for _, r := range in.st.tables["sys_attachment"].rows {
		if r != nil && r.get("table_sys_id") == sysID {
			out = append(out, Attachment{r.id(), r.get("file_name"), r.get("content_type"), in.st.blobs[r.id()]})
		}
	}
	return out
}
