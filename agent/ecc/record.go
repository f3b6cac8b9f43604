package ecc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// timeLayout is how an instance writes a time in UTC (Table API documentation,
// sysparm_display_value=false).
const timeLayout = "2006-01-02 15:04:05"

// maxSysID bounds what is taken for a sys_id. Instances make 32 hexadecimal
// digits; imported records may have others.
const maxSysID = 64

// text returns where the message keeps a column that is plain text, and nil for
// any other column.
func (m *Message) text(column string) *string {
	switch column {
	case "sys_id":
		return &m.SysID
	case "agent":
		return &m.Agent
	case "topic":
		return &m.Topic
	case "name":
		return &m.Name
	case "source":
		return &m.Source
	case "queue":
		return &m.Queue
	case "state":
		return &m.State
	case "sequence":
		return &m.Sequence
	case "payload":
		return &m.Payload
	case "response_to":
		return &m.ResponseTo
	case "agent_correlator":
		return &m.AgentCorrelator
	default:
		return m.rareText(column)
	}
}

func (m *Message) rareText(column string) *string {
	switch column {
	case "from_host":
		return &m.FromHost
	case "from_sys_id":
		return &m.FromSysID
	case "error_string":
		return &m.ErrorString
	case "processed":
		return &m.Processed
	case "signature":
		return &m.Signature
	case "sys_created_by":
		return &m.CreatedBy
	case "sys_updated_by":
		return &m.UpdatedBy
	case "sys_domain":
		return &m.Domain
	case "sys_domain_path":
		return &m.DomainPath
	default:
		return nil
	}
}

// set stores one column. An unknown one goes to Extra.
func (m *Message) set(column, value string) (err error) {
	switch column {
	case "priority":
		m.Priority = ParsePriority(value)
	case "sys_mod_count":
		m.ModCount, err = parseCount(value)
	case "sys_created_on":
		m.Created, err = parseTime(value)
	case "sys_updated_on":
		m.Updated, err = parseTime(value)
	default:
		if at := m.text(column); at != nil {
			*at = value
			return nil
		}
		if m.Extra == nil {
			m.Extra = map[string]string{}
		}
		m.Extra[column] = value
	}
	return err
}

// FromRecord makes a message of a record as the Table API returns it, with
// database values (not display values). sys_id, agent and topic must be there,
// and what is a number or a time must be one; a priority that makes no sense is
// standard. The error is a [fault.Invalid] that names every wrong column, and
// the message then holds what could be read, so that it can be answered.
func FromRecord(record map[string]string) (Message, error) {
	m := Message{Priority: PriorityStandard}
	var wrong []error
	for column, value := range record {
		if err := m.set(column, value); err != nil {
			wrong = append(wrong, fmt.Errorf("column %s: %w", column, err))
		}
	}
	switch {
	case m.SysID == "":
		wrong = append(wrong, errors.New("column sys_id is empty"))
	case !ValidSysID(m.SysID):
		wrong = append(wrong, fmt.Errorf("column sys_id: %.80q is no sys_id", m.SysID))
	}
	if m.Agent == "" {
		wrong = append(wrong, errors.New("column agent is empty"))
	}
	if m.Topic == "" {
		wrong = append(wrong, errors.New("column topic is empty"))
	}
	if len(wrong) == 0 {
		return m, nil
	}
	return m, fault.New(fault.Invalid, "read ECC message", fmt.Sprintf("%.80q", m.SysID), joinLine(wrong)).
		WithHint("correct the record in ecc_queue, or what writes it; check that the agent's user may read these columns")
}

// joinLine joins errors on one line, in a stable order.
func joinLine(errs []error) error {
	texts := make([]string, 0, len(errs))
	for _, e := range errs {
		texts = append(texts, e.Error())
	}
	slices.Sort(texts)
	return errors.New(strings.Join(texts, "; "))
}

// ValidSysID reports whether s has the form of a sys_id: up to 64 ASCII
// letters, digits, hyphens and underscores. Such a text can stand in a query,
// a path or a file name.
func ValidSysID(s string) bool {
	if s == "" || len(s) > maxSysID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && !isDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ParsePriority returns the priority that a record's text stands for: 0, 1 or
// 2, and 2 for anything else.
func ParsePriority(s string) int {
	switch strings.TrimSpace(s) {
	case "0":
		return PriorityInteractive
	case "1":
		return PriorityExpedited
	default:
		return PriorityStandard
	}
}

func parseCount(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%.40q is no count", s)
	}
	return n, nil
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no time of the form yyyy-mm-dd hh:mm:ss", s)
	}
	return t, nil
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// Fields returns the columns to insert the message with. Those that are empty,
// those that the instance sets itself (sys_*) and those in Extra are left out.
func (m Message) Fields() map[string]string {
	fields := map[string]string{"priority": strconv.Itoa(m.Priority)}
	for _, column := range [...]string{
		"agent", "topic", "name", "source", "queue", "state", "sequence", "payload", "response_to",
		"agent_correlator", "from_host", "from_sys_id", "error_string", "processed", "signature",
	} {
		if at := m.text(column); *at != "" {
			fields[column] = *at
		}
	}
	return fields
}
