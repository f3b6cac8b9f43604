package simulator

import (
	"slices"
)

// page is what a list request asks for.
type page struct {
	offset, limit int
	noCount       bool
}

// selected is the answer: the rows of the page and, unless it was not asked
// for, the number of all that match.
type selected struct {
	rows  []*row
	total int
}

// list runs a query. It is safe under a read lock.
func (s *store) list(t *table, q *query, p page) selected {
	if q.nothing {
		return selected{}
	}
	if len(q.groups) == 1 {
		if rows, rest, ok := s.byKey(t, q.groups[0]); ok {
			return finish(s, q, p, filter(s, rows, rest))
		}
		if t.ecc != nil {
			return s.listECC(t, q, p)
		}
	}
	if len(q.groups) == 0 && len(q.order) == 0 {
		return everything(t, p)
	}
	var out []*row
	t.each(func(r *row) bool {
		if q.match(s, r) {
			out = append(out, r)
		}
		return true
	})
	return finish(s, q, p, out)
}

// everything pages through a whole table in the order of creation.
func everything(t *table, p page) selected {
	out := selected{total: t.count()}
	skip := p.offset
	t.each(func(r *row) bool {
		if skip > 0 {
			skip--
			return true
		}
		if len(out.rows) >= p.limit {
			return false
		}
		out.rows = append(out.rows, r)
		return true
	})
	return out
}

// byKey answers a conjunction that names sys_ids, or the outputs that inputs
// respond to, from the index. It returns the chains that are left to check.
func (s *store) byKey(t *table, group []chain) (rows []*row, rest []chain, ok bool) {
	for i, c := range group {
		if len(c) != 1 || len(c[0].path.cols) != 1 {
			continue
		}
		col, keys := c[0].path.cols[0], c[0].list
		switch c[0].op {
		case "=":
			keys = []string{c[0].val}
		case "IN":
		default:
			continue
		}
		switch {
		case col == colID:
			for _, k := range unique(keys) {
				if r := t.find(k); r != nil {
					rows = append(rows, r)
				}
			}
		case t.ecc != nil && col == t.ecc.responseTo && !slices.Contains(keys, ""):
			for _, k := range unique(keys) {
				rows = append(rows, t.ecc.answers[k]...)
			}
		default:
			continue
		}
		return rows, slices.Delete(slices.Clone(group), i, i+1), true
	}
	return nil, nil, false
}

func unique(keys []string) []string {
	if len(keys) < 2 {
		return keys
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return slices.Compact(keys)
}

func filter(s *store, rows []*row, rest []chain) []*row {
	if len(rest) == 0 {
		return rows
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return !matchAll(s, rest, r) })
}

// finish sorts, counts and cuts the page out.
func finish(s *store, q *query, p page, rows []*row) selected {
	if len(q.order) > 0 {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, func(a, b *row) int { return q.compare(s, a, b) })
	}
	out := selected{total: len(rows)}
	if p.offset < len(rows) {
		out.rows = rows[p.offset:min(len(rows), p.offset+p.limit)]
	}
	return out
}

// compare orders two rows by ORDERBY, references by their display name.
func (q *query) compare(s *store, a, b *row) int {
	for i := range q.order {
		k := &q.order[i]
		x, y := k.path.value(s, a), k.path.value(s, b)
		if k.path.kind == Reference {
			x, y = s.displayOf(k.path.ref, x), s.displayOf(k.path.ref, y)
		}
		c := compareValues(k.path.kind, x, y)
		if k.desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// natural reports whether the order of the index is the order that is asked for.
func (q *query) natural(e *eccIndex) bool {
	want := []int{e.priority, e.sequence, colID}
	if len(q.order) > len(want) {
		return false
	}
	for i, k := range q.order {
		if k.desc || len(k.path.cols) != 1 || k.path.cols[0] != want[i] {
			return false
		}
	}
	return len(q.order) > 0
}

// listECC answers a conjunction over ecc_queue from the buckets that can hold
// matching rows.
func (s *store) listECC(t *table, q *query, p page) selected {
	e := t.ecc
	var fixed, rest []chain
	for _, c := range q.groups[0] {
		if slices.ContainsFunc(c, func(tm term) bool {
			return len(tm.path.cols) != 1 || !e.isBucket(tm.path.cols[0]) || tm.op == "SAMEAS" || tm.op == "NSAMEAS"
		}) {
			rest = append(rest, c)
		} else {
			fixed = append(fixed, c)
		}
	}
	var hit []*ordered
	for k, b := range e.buckets {
		probe := &row{t: t, vals: make([]string, len(t.cols))}
		probe.vals[e.agent], probe.vals[e.queue], probe.vals[e.state] = k.agent, k.queue, k.state
		if matchAll(s, fixed, probe) {
			hit = append(hit, b)
		}
	}
	if q.natural(e) && len(hit) <= 1 {
		return firstOf(s, hit, rest, p)
	}
	var rows []*row
	for _, b := range hit {
		b.each(0, func(r *row) bool {
			if matchAll(s, rest, r) {
				rows = append(rows, r)
			}
			return true
		})
	}
	if len(q.order) == 0 {
		// The buckets come in no order of their own; the order of creation is a stable one.
		slices.SortFunc(rows, func(a, b *row) int { return a.pos - b.pos })
	}
	return finish(s, q, p, rows)
}

// firstOf reads a page from the front of one bucket without touching the rest.
func firstOf(s *store, hit []*ordered, rest []chain, p page) selected {
	var out selected
	if len(hit) == 0 {
		return out
	}
	b := hit[0]
	if len(rest) == 0 {
		out.total = b.n
		b.each(p.offset, func(r *row) bool {
			if len(out.rows) >= p.limit {
				return false
			}
			out.rows = append(out.rows, r)
			return true
		})
		return out
	}
	b.each(0, func(r *row) bool {
		if !matchAll(s, rest, r) {
			return true
		}
		out.total++
		if out.total > p.offset && len(out.rows) < p.limit {
			out.rows = append(out.rows, r)
		}
		return !p.noCount || len(out.rows) < p.limit
	})
	return out
}
