package ecc

import (
	"iter"
	"strconv"
)

// Parameters are the effective parameters of a message. The zero value has none.
type Parameters struct {
	names  []string // in order, each once
	values map[string]string
}

// Get returns a parameter by its exact name.
func (p Parameters) Get(name string) (string, bool) {
	v, ok := p.values[name]
	return v, ok
}

// All yields name and value, those of the record before those of the payload.
func (p Parameters) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range p.names {
			if !yield(name, p.values[name]) {
				return
			}
		}
	}
}

// Len returns how many parameters there are.
func (p Parameters) Len() int { return len(p.names) }

func (p *Parameters) set(name, value string) {
	if _, ok := p.values[name]; !ok {
		p.names = append(p.names, name)
	}
	p.values[name] = value
}

// Effective returns the parameters that a message is run with: the fields of
// its record that are not empty, overlaid by the parameters of its payload (ECC
// queue, product documentation: the payload's name overrides the record's,
// which is too short for many commands). Of several payload parameters with one
// name the last one counts. Names are case-sensitive.
func Effective(m Message, p Payload) Parameters {
	e := Parameters{
		names:  make([]string, 0, len(echoed)+len(p.Parameters)),
		values: make(map[string]string, len(echoed)+len(p.Parameters)),
	}
	for _, column := range echoed {
		if v := m.echo(column); v != "" {
			e.set(column, v)
		}
	}
	for _, q := range p.Parameters {
		e.set(q.Name, q.Value)
	}
	return e
}

// echoed are the record's fields among the parameters of a result, in the order
// of results that MID Servers sent. ecc_queue is no column: it repeats sys_id.
var echoed = [...]string{ //nolint:gochecknoglobals // a constant table
	"agent", "signature", "response_to", "from_sys_id", "source", "priority", "agent_correlator",
	"processed", "error_string", "sys_id", "sequence", "from_host", "sys_created_on", "sys_domain",
	"name", "topic", "state", "queue", "ecc_queue",
}

// echoIndex returns the place of a name in echoed, or -1.
func echoIndex(name string) int {
	for i, e := range echoed {
		if e == name {
			return i
		}
	}
	return -1
}

// fixed reports whether a field of the echo says which record was answered, so
// that no payload parameter of the same name takes its place.
func fixed(column string) bool {
	switch column {
	case "sys_id", "ecc_queue", "queue", "state":
		return true
	default:
		return false
	}
}

// echo returns a field of an output as results repeat it. Whatever became of
// the record meanwhile, it is repeated as the output that was ready.
func (m *Message) echo(column string) string {
	switch column {
	case "ecc_queue":
		return m.SysID
	case "queue":
		return QueueOutput
	case "state":
		return StateReady
	case "priority":
		return strconv.Itoa(m.Priority)
	case "sys_created_on":
		return formatTime(m.Created)
	default:
		return *m.text(column)
	}
}
