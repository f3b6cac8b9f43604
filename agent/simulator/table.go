package simulator

import (
	"fmt"
	"slices"
)

// row is one record. Its values stand in the order of its table's columns. A
// row is changed only through store, which keeps the indexes right.
type row struct {
	t    *table
	vals []string
	pos  int   // position in table.rows
	pri  int32 // priority of an ecc_queue record, parsed once
}

func (r *row) id() string { return r.vals[colID] }

// get returns the value of a column by name, "" when the table has none.
func (r *row) get(name string) string {
	i, ok := r.t.index[name]
	if !ok {
		return ""
	}
	return r.vals[i]
}

// table holds the records of one class in the order of their creation.
type table struct {
	def      Table
	cols     []Column
	index    map[string]int
	display  int
	parent   *table
	children []*table
	rows     []*row // deleted records leave nil until the next compaction
	byID     map[string]*row
	ecc      *eccIndex // ecc_queue only
	numbers  int       // the last number given
	policies []compiledPolicy
	acl      ACL
}

type compiledPolicy struct {
	when      *query
	mandatory []int
}

// newTable builds a table. The columns of the parent keep their positions, so
// that a position found in a parent is valid for the rows of its children.
func newTable(def Table, parent *table) (*table, error) {
	t := &table{def: def, parent: parent, index: map[string]int{}, byID: map[string]*row{}, acl: def.ACL}
	if parent != nil {
		t.cols = slices.Clone(parent.cols)
		parent.children = append(parent.children, t)
	} else {
		t.cols = baseColumns()
	}
	for i, c := range t.cols {
		t.index[c.Name] = i
	}
	for _, c := range def.Columns {
		if c.Name == "" {
			return nil, fmt.Errorf("table %s: a column has no name", def.Name)
		}
		if i, ok := t.index[c.Name]; ok {
			t.cols[i] = c // a child may redefine choices and defaults
			continue
		}
		t.index[c.Name] = len(t.cols)
		t.cols = append(t.cols, c)
	}
	if i, ok := t.index[def.Display]; ok {
		t.display = i
	}
	return t, nil
}

// find looks a record up by its sys_id here and in the tables that extend this one.
func (t *table) find(id string) *row {
	if r := t.byID[id]; r != nil {
		return r
	}
	for _, c := range t.children {
		if r := c.find(id); r != nil {
			return r
		}
	}
	return nil
}

// each calls yield with every record of the table and of those that extend it,
// oldest first within a class, until it returns false.
func (t *table) each(yield func(*row) bool) bool {
	for _, r := range t.rows {
		if r != nil && !yield(r) {
			return false
		}
	}
	for _, c := range t.children {
		if !c.each(yield) {
			return false
		}
	}
	return true
}

// count is the number of records, those of the tables that extend it included.
func (t *table) count() int {
	n := len(t.byID)
	for _, c := range t.children {
		n += c.count()
	}
	return n
}

// isA reports whether t is the named table or extends it.
func (t *table) isA(name string) bool {
	for p := t; p != nil; p = p.parent {
		if p.def.Name == name {
			return true
		}
	}
	return false
}

func (t *table) add(r *row) {
	r.pos = len(t.rows)
	t.rows = append(t.rows, r)
	t.byID[r.id()] = r
	if t.ecc != nil {
		t.ecc.add(r)
	}
}

func (t *table) remove(r *row) {
	if t.ecc != nil {
		t.ecc.remove(r)
	}
	delete(t.byID, r.id())
	t.rows[r.pos] = nil
	if len(t.rows) < 64 || len(t.byID)*2 > len(t.rows) {
		return
	}
	t.rows = slices.DeleteFunc(t.rows, func(r *row) bool { return r == nil })
	for i, r := range t.rows {
		r.pos = i
	}
}
