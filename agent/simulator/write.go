package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// change sets one column.
type change struct {
	col int
	val string
}

// policyError is the answer to a write that a data policy forbids.
type policyError struct{ fields []string }

func (e *policyError) Error() string {
	return "Data Policy Exception: \n\tThe following fields are mandatory: " + strings.Join(e.fields, ", ")
}

// changes turns a map of column names into changes. Unknown names are ignored,
// as the Table API does; so are the columns that the platform itself writes.
func (t *table) changes(fields map[string]string) []change {
	out := make([]change, 0, len(fields))
	for name, val := range fields {
		i, ok := t.index[name]
		if !ok || i <= colModCount || i == colClass {
			continue
		}
		out = append(out, change{i, val})
	}
	return out
}

// insert adds a record as the user who and runs the business rules. id may be
// empty.
func (s *store) insert(t *table, who, id string, set []change) (*row, error) {
	r := s.blank(t, who, id)
	var notes []change
	for _, c := range set {
		if t.cols[c.col].Kind == Journal {
			notes = append(notes, c)
			continue
		}
		r.vals[c.col] = cut(c.val, t.cols[c.col].Max)
	}
	if err := s.checkPolicies(r); err != nil {
		return nil, err
	}
	if t.ecc != nil {
		s.beforeECCInsert(t.ecc, r)
	}
	t.add(r)
	for _, c := range notes {
		s.note(r, who, t.cols[c.col].Name, c.val)
	}
	s.emit(Insert, r, nil)
	if t.ecc != nil {
		s.afterECCInsert(t.ecc, r)
	}
	return r, nil
}

// blank makes a record with the defaults of its table.
func (s *store) blank(t *table, who, id string) *row {
	if id == "" || t.find(id) != nil {
		id = s.newID()
	}
	r := &row{t: t, vals: make([]string, len(t.cols))}
	for i := range t.cols {
		r.vals[i] = t.cols[i].Default
	}
	now := s.timestamp()
	r.vals[colID], r.vals[colModCount] = id, "0"
	r.vals[colCreatedOn], r.vals[colUpdatedOn] = now, now
	r.vals[colCreatedBy], r.vals[colUpdatedBy] = who, who
	if t.parent != nil || len(t.children) > 0 {
		r.vals[colClass] = t.def.Name
	}
	if t.def.Number != "" {
		t.numbers++
		r.vals[t.index["number"]] = fmt.Sprintf("%s%07d", t.def.Number, 10000+t.numbers)
	}
	if i, ok := t.index["opened_at"]; ok {
		r.vals[i] = now
	}
	return r
}

// update changes a record. A write that changes no value leaves
// sys_mod_count and sys_updated_on alone.
func (s *store) update(r *row, who string, set []change) error {
	t := r.t
	old := map[int]string{}
	var names []string
	noted, moves := false, false
	for _, c := range set {
		col := &t.cols[c.col]
		if col.Kind == Journal {
			noted = noted || c.val != ""
			continue
		}
		val := cut(c.val, col.Max)
		if r.vals[c.col] == val {
			continue
		}
		moves = moves || (t.ecc != nil && t.ecc.isKey(c.col))
		old[c.col] = val
		names = append(names, col.Name)
	}
	if len(old) == 0 && !noted {
		return nil
	}
	before := make([]change, 0, len(old))
	if moves {
		t.ecc.remove(r)
	}
	for i, v := range old {
		before = append(before, change{i, r.vals[i]})
		r.vals[i] = v
	}
	err := s.checkPolicies(r)
	if err != nil {
		for _, c := range before {
			r.vals[c.col] = c.val
		}
	}
	if moves {
		t.ecc.add(r)
	}
	if err != nil {
		return err
	}
	for _, c := range set {
		if t.cols[c.col].Kind == Journal && c.val != "" {
			s.note(r, who, t.cols[c.col].Name, c.val)
		}
	}
	s.touch(r, who)
	s.emit(Update, r, names)
	return nil
}

// touch marks a record as changed now.
func (s *store) touch(r *row, who string) {
	n, err := strconv.Atoi(r.vals[colModCount])
	if err != nil {
		n = 0
	}
	r.vals[colModCount] = strconv.Itoa(n + 1)
	r.vals[colUpdatedOn], r.vals[colUpdatedBy] = s.timestamp(), who
}

// remove deletes a record with its attachments and journal.
func (s *store) remove(r *row) {
	r.t.remove(r)
	s.emit(Delete, r, nil)
	delete(s.blobs, r.id())
	for _, n := range s.journal[r.id()] {
		n.t.remove(n)
	}
	delete(s.journal, r.id())
	delete(s.retries, r.id())
	if r.t.def.Name == "sys_attachment" {
		return
	}
	for _, a := range s.attachmentsOf(r) {
		s.remove(a)
	}
}

// note appends an entry to a journal column.
func (s *store) note(r *row, who, element, text string) {
	if text == "" {
		return
	}
	t := s.tables["sys_journal_field"]
	n := s.blank(t, who, "")
	n.vals[t.index["name"]] = r.t.def.Name
	n.vals[t.index["element"]] = element
	n.vals[t.index["element_id"]] = r.id()
	n.vals[t.index["value"]] = text
	t.add(n)
	s.journal[r.id()] = append(s.journal[r.id()], n)
	s.emit(Insert, n, nil)
}

func (s *store) checkPolicies(r *row) error {
	for _, p := range r.t.policies {
		if !p.when.match(s, r) {
			continue
		}
		var missing []string
		for _, i := range p.mandatory {
			if r.vals[i] != "" {
				continue
			}
			label := r.t.cols[i].Label
			if label == "" {
				label = r.t.cols[i].Name
			}
			missing = append(missing, label)
		}
		if len(missing) > 0 {
			return &policyError{missing}
		}
	}
	return nil
}

// cut shortens text to at most limit characters, as a column of the database does.
func cut(text string, limit int) string {
	if limit == 0 || len(text) <= limit || utf8.RuneCountInString(text) <= limit {
		return text
	}
	n := 0
	for i := range text {
		if n == limit {
			return text[:i]
		}
		n++
	}
	return text
}
