package simulator

import (
	"strings"
	"time"
)

// viewer is the user on whose behalf a query is read or a value is shown.
type viewer struct {
	id, name string
	zone     *time.Location
}

// query is a compiled encoded query: groups joined by ^NQ, each a conjunction
// of chains, each a disjunction of terms.
type query struct {
	groups  [][]chain
	order   []orderKey
	dropped []string // terms that made no sense and were ignored
	nothing bool     // glide.invalid_query.returns_no_rows applied
}

type chain []term

type orderKey struct {
	path path
	desc bool
}

// match reports whether a record satisfies the query.
func (q *query) match(s *store, r *row) bool {
	if q.nothing {
		return false
	}
	for _, g := range q.groups {
		if matchAll(s, g, r) {
			return true
		}
	}
	return len(q.groups) == 0
}

func matchAll(s *store, chains []chain, r *row) bool {
	for _, c := range chains {
		if !c.match(s, r) {
			return false
		}
	}
	return true
}

func (c chain) match(s *store, r *row) bool {
	for i := range c {
		if c[i].match(s, r) {
			return true
		}
	}
	return false
}

// compile reads an encoded query against a table. It never fails: what it does
// not understand is dropped and the rest runs, exactly the trap that a real
// instance sets, unless glide.invalid_query.returns_no_rows is true.
//
// A term after "^" is joined to the whole chain of ^OR before it; ^NQ starts a
// new group. Nothing escapes a caret: a value that holds one is split.
func (s *store) compile(text string, t *table, v *viewer) *query {
	q := &query{}
	c := &compiler{s: s, t: t, v: v, q: q}
	parts := strings.Split(text, "^")
	for i := 0; i < len(parts); i++ {
		if rest, ok := strings.CutPrefix(parts[i], "RLQUERY"); ok {
			end := i + 1
			for end < len(parts) && parts[end] != "ENDRLQUERY" {
				end++
			}
			c.related(rest, parts[min(i+1, end):end])
			i = end
			continue
		}
		c.part(parts[i])
	}
	c.endGroup()
	if len(q.dropped) > 0 && s.tables["sys_properties"] != nil {
		q.nothing = s.property("glide.invalid_query.returns_no_rows", "false") == "true"
	}
	return q
}

type compiler struct {
	s     *store
	t     *table
	v     *viewer
	q     *query
	group []chain
}

// part handles what stands between two carets.
func (c *compiler) part(p string) {
	switch {
	case p == "" || p == "EQ":
	case strings.HasPrefix(p, "ORDERBYDESC"):
		c.orderBy(p[len("ORDERBYDESC"):], true)
	case strings.HasPrefix(p, "ORDERBY"):
		c.orderBy(p[len("ORDERBY"):], false)
	case strings.HasPrefix(p, "GROUPBY"): // groups a list in the browser only
	case strings.HasPrefix(p, "NQ"):
		c.endGroup()
		c.part(p[2:])
	case strings.HasPrefix(p, "OR"):
		c.or(p[2:])
	default:
		if tm, ok := c.term(p); ok {
			c.group = append(c.group, chain{tm})
		}
	}
}

// or adds an alternative to the last chain. Where that chain was dropped, the
// alternative stands alone.
func (c *compiler) or(p string) {
	tm, ok := c.term(p)
	switch {
	case !ok:
	case len(c.group) == 0:
		c.group = append(c.group, chain{tm})
	default:
		last := len(c.group) - 1
		c.group[last] = append(c.group[last], tm)
	}
}

// endGroup closes a group. A group without a term would match everything and
// is kept only when it is the only one.
func (c *compiler) endGroup() {
	if len(c.group) > 0 {
		c.q.groups = append(c.q.groups, c.group)
		c.group = nil
	}
}

func (c *compiler) orderBy(name string, desc bool) {
	p, ok := c.s.path(c.t, name)
	if !ok {
		c.drop("ORDERBY" + name)
		return
	}
	c.q.order = append(c.q.order, orderKey{p, desc})
}

func (c *compiler) drop(p string) { c.q.dropped = append(c.q.dropped, p) }

// path is a column that may be reached through references (a dot-walk).
type path struct {
	cols []int    // positions, one for each step
	via  []string // the table that each step but the last leads to
	kind Kind
	ref  string
}

// path resolves a dotted name from a table on. Every step but the last must be
// a reference.
func (s *store) path(t *table, name string) (path, bool) {
	var p path
	for {
		step, rest, more := strings.Cut(name, ".")
		i, ok := t.index[step]
		if !ok {
			return path{}, false
		}
		col := &t.cols[i]
		p.cols = append(p.cols, i)
		p.kind, p.ref = col.Kind, col.Ref
		if !more {
			return p, true
		}
		next := s.tables[col.Ref]
		if col.Kind != Reference || next == nil {
			return path{}, false
		}
		p.via = append(p.via, col.Ref)
		t, name = next, rest
	}
}

// walk follows all references of a path and returns the record that holds the
// last column, nil when a reference on the way is empty or dangling.
func (p *path) walk(s *store, r *row) *row {
	for i, table := range p.via {
		if r = s.tables[table].find(r.vals[p.cols[i]]); r == nil {
			return nil
		}
	}
	return r
}

func (p *path) last() int { return p.cols[len(p.cols)-1] }

// value is the raw value at the end of a path.
func (p *path) value(s *store, r *row) string {
	if r = p.walk(s, r); r == nil {
		return ""
	}
	return r.vals[p.last()]
}
