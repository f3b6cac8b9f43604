package simulator

import (
	"slices"
	"strings"
	"time"
)

// display is the mode of sysparm_display_value.
type display int

const (
	displayRaw  display = iota // false
	displayText                // true
	displayBoth                // all
)

// shape says how the values of a response look.
type shape struct {
	mode        display
	excludeLink bool
	base        string // scheme, host and version: https://h/api/now[/v2]
	zone        *time.Location
}

// displayOf is the display value of a reference: the display column of the
// record, or the value itself where there is no such record.
func (s *store) displayOf(table, id string) string {
	t := s.tables[table]
	if id == "" || t == nil {
		return id
	}
	r := t.find(id)
	if r == nil {
		return id
	}
	return r.vals[r.t.display]
}

// show is the display value of a column in the zone of the user.
func (s *store) show(r *row, i int, zone *time.Location) string {
	col, v := &r.t.cols[i], r.vals[i]
	switch col.Kind {
	case Journal:
		return s.showJournal(r, col.Name, zone)
	case Reference:
		return s.displayOf(col.Ref, v)
	case DateTime:
		return inZone(v, zone)
	case String, Integer, Boolean:
	}
	for _, c := range col.Choices {
		if c.Value == v {
			return c.Label
		}
	}
	return v
}

func inZone(v string, zone *time.Location) string {
	t, err := time.Parse(rawTime, v)
	if err != nil {
		return v
	}
	return t.In(zone).Format(rawTime)
}

// showJournal joins the entries of a journal column, newest first.
func (s *store) showJournal(r *row, element string, zone *time.Location) string {
	label := map[string]string{"work_notes": "Work notes", "comments": "Additional comments"}[element]
	if label == "" {
		label = element
	}
	var b strings.Builder
	for _, n := range slices.Backward(s.journal[r.id()]) {
		if n.get("element") != element {
			continue
		}
		b.WriteString(inZone(n.vals[colCreatedOn], zone) + " - " + s.fullName(n.vals[colCreatedBy]) + " (" + label + ")\n" + n.get("value") + "\n\n")
	}
	return b.String()
}

func (s *store) fullName(user string) string {
	t := s.tables["sys_user"]
	for _, r := range t.rows {
		if r != nil && r.get("user_name") == user {
			return r.get("name")
		}
	}
	return user
}

// appendValue writes a column in the shape that the Table API documents.
func (s *store) appendValue(b []byte, r *row, i int, sh *shape) []byte {
	col := &r.t.cols[i]
	v := r.vals[i]
	if col.Kind == Reference {
		return s.appendReference(b, col, v, sh)
	}
	switch sh.mode {
	case displayText:
		return appendString(b, s.show(r, i, sh.zone))
	case displayBoth:
		b = append(b, `{"display_value":`...)
		b = appendString(b, s.show(r, i, sh.zone))
		b = append(b, `,"value":`...)
		return append(appendString(b, v), '}')
	case displayRaw:
	}
	return appendString(b, v)
}

func (s *store) appendReference(b []byte, col *Column, v string, sh *shape) []byte {
	if v == "" && sh.mode != displayBoth {
		return append(b, `""`...)
	}
	if sh.excludeLink && sh.mode == displayRaw {
		return appendString(b, v)
	}
	if sh.excludeLink && sh.mode == displayText {
		return appendString(b, s.displayOf(col.Ref, v))
	}
	b = append(b, '{')
	if sh.mode != displayRaw {
		b = append(b, `"display_value":`...)
		b = append(appendString(b, s.displayOf(col.Ref, v)), ',')
	}
	if !sh.excludeLink && v != "" {
		b = append(b, `"link":`...)
		b = append(appendString(b, sh.base+"/table/"+col.Ref+"/"+v), ',')
	}
	if sh.mode != displayText {
		b = append(b, `"value":`...)
		b = append(appendString(b, v), ',')
	}
	b[len(b)-1] = '}'
	return b
}

// field is a column of a response: its name as requested and where it is found.
type field struct {
	name string
	path path
}

// fields resolves sysparm_fields. Unknown names are left out silently; an empty
// list means all columns.
func (s *store) fields(t *table, list string) []field {
	var out []field
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if p, ok := s.path(t, name); ok {
			out = append(out, field{name, p})
		}
	}
	return out
}

// appendRow writes a record as a JSON object. t is the table that was asked: a
// record of a class that extends it shows the columns of t alone.
func (s *store) appendRow(b []byte, t *table, r *row, fields []field, sh *shape) []byte {
	b = append(b, '{')
	if fields == nil {
		for i := range t.cols {
			if i == colClass && r.vals[i] == "" {
				continue // only tables with a class hierarchy have it
			}
			b = appendKey(b, t.cols[i].Name)
			b = append(s.appendValue(b, r, i, sh), ',')
		}
	}
	for i := range fields {
		f := &fields[i]
		b = appendKey(b, f.name)
		if at := f.path.walk(s, r); at != nil {
			b = s.appendValue(b, at, f.path.last(), sh)
		} else {
			b = append(b, `""`...)
		}
		b = append(b, ',')
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}
