package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// term is one condition on a record.
type term struct {
	path path
	op   string
	val  string
	list []string
	eval func(s *store, r *row) bool
}

func (t *term) match(s *store, r *row) bool { return t.eval(s, r) }

// operators in the order in which they are tried: a longer one before its prefix.
func operators() []string {
	return []string{
		"NOT LIKE", "NOTLIKE", "NOT IN", "NOTIN", "NOTEMPTY", "NOTON", "NSAMEAS", "SAMEAS", "STARTSWITH", "ENDSWITH", "INSTANCEOF", "ISNOTEMPTY",
		"ISEMPTY", "EMPTYSTRING", "ANYTHING", "BETWEEN", "DYNAMIC", "RELATIVEEE", "RELATIVEGE", "RELATIVELE", "RELATIVEGT", "RELATIVELT",
		"LIKE", "IN", "ON", "!=", "<=", ">=", "!*", "=", "<", ">", "*", "%",
	}
}

// fieldEnd returns where the column name of a term ends: names are lower case,
// operators are not.
func fieldEnd(p string) int {
	for i := range len(p) {
		c := p[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' {
			return i
		}
	}
	return len(p)
}

// term compiles one condition, or drops it.
func (c *compiler) term(p string) (term, bool) {
	if text, ok := strings.CutPrefix(p, "123TEXTQUERY321="); ok {
		return textTerm(text), true
	}
	n := fieldEnd(p)
	pa, ok := c.s.path(c.t, p[:n])
	if !ok {
		c.drop(p)
		return term{}, false
	}
	for _, op := range operators() {
		val, ok := strings.CutPrefix(p[n:], op)
		if !ok {
			continue
		}
		tm := term{path: pa, op: op}
		if c.fill(&tm, val) {
			return tm, true
		}
		break
	}
	c.drop(p)
	return term{}, false
}

// fill reads the value and chooses the comparison.
func (c *compiler) fill(t *term, raw string) bool {
	val, ok := c.value(raw, t.path.kind)
	if !ok {
		return false
	}
	t.val = val
	switch t.op {
	case "ISEMPTY":
		return t.test(func(v string) bool { return v == "" })
	case "EMPTYSTRING":
		return t.test(func(v string) bool { return v == "" })
	case "ISNOTEMPTY", "NOTEMPTY":
		return t.test(func(v string) bool { return v != "" })
	case "ANYTHING":
		return t.test(func(string) bool { return true })
	case "IN", "NOT IN", "NOTIN":
		return c.inList(t, raw)
	case "LIKE", "*":
		return t.text(func(v string) bool { return strings.Contains(v, val) })
	case "NOT LIKE", "NOTLIKE", "!*":
		return t.text(func(v string) bool { return !strings.Contains(v, val) })
	case "STARTSWITH":
		return t.text(func(v string) bool { return strings.HasPrefix(v, val) })
	case "ENDSWITH", "%":
		return t.text(func(v string) bool { return strings.HasSuffix(v, val) })
	case "BETWEEN":
		return c.between(t, raw, false)
	case "ON":
		return c.on(t, raw, false)
	case "NOTON":
		return c.on(t, raw, true)
	case "SAMEAS", "NSAMEAS":
		return c.sameAs(t, raw)
	case "INSTANCEOF":
		return t.class(val)
	case "DYNAMIC":
		return c.dynamic(t, raw)
	case "RELATIVEEE", "RELATIVEGE", "RELATIVELE", "RELATIVEGT", "RELATIVELT":
		return c.relative(t, raw)
	}
	return t.compare()
}

// test compares the raw value.
func (t *term) test(f func(string) bool) bool {
	if len(t.path.cols) == 1 {
		col := t.path.cols[0]
		t.eval = func(_ *store, r *row) bool { return f(r.vals[col]) }
		return true
	}
	t.eval = func(s *store, r *row) bool { return f(t.path.value(s, r)) }
	return true
}

// text compares the display name where the column is a reference, as the list
// of operators documents.
func (t *term) text(f func(string) bool) bool {
	if t.path.kind != Reference {
		return t.test(f)
	}
	t.eval = func(s *store, r *row) bool { return f(s.displayOf(t.path.ref, t.path.value(s, r))) }
	return true
}

// compare handles = != < <= > >=.
func (t *term) compare() bool {
	val := t.val
	var want func(int) bool
	switch t.op {
	case "=":
		return t.test(func(v string) bool { return v == val })
	case "!=":
		return t.test(func(v string) bool { return v != val })
	case "<":
		want = func(c int) bool { return c < 0 }
	case "<=":
		want = func(c int) bool { return c <= 0 }
	case ">":
		want = func(c int) bool { return c > 0 }
	case ">=":
		want = func(c int) bool { return c >= 0 }
	default:
		return false
	}
	kind := t.path.kind
	return t.test(func(v string) bool { return v != "" && want(compareValues(kind, v, val)) })
}

// compareValues orders two values: integers as numbers, the rest as text (a
// stored date sorts as text).
func compareValues(k Kind, a, b string) int {
	if k == Integer {
		x, errA := strconv.ParseInt(a, 10, 64)
		y, errB := strconv.ParseInt(b, 10, 64)
		if errA == nil && errB == nil {
			return cmp.Compare(x, y)
		}
	}
	return strings.Compare(a, b)
}

func (c *compiler) inList(t *term, raw string) bool {
	for v := range strings.SplitSeq(raw, ",") {
		val, ok := c.value(v, t.path.kind)
		if !ok {
			return false
		}
		t.list = append(t.list, val)
	}
	not := t.op != "IN"
	if len(t.list) < 16 {
		return t.test(func(v string) bool { return slices.Contains(t.list, v) != not })
	}
	set := make(map[string]bool, len(t.list))
	for _, v := range t.list {
		set[v] = true
	}
	return t.test(func(v string) bool { return set[v] != not })
}

func (c *compiler) between(t *term, raw string, not bool) bool {
	lo, hi, ok := strings.Cut(raw, "@")
	if !ok {
		return false
	}
	from, ok1 := c.value(lo, t.path.kind)
	to, ok2 := c.value(hi, t.path.kind)
	if !ok1 || !ok2 {
		return false
	}
	kind := t.path.kind
	return t.test(func(v string) bool {
		in := v != "" && compareValues(kind, v, from) >= 0 && compareValues(kind, v, to) <= 0
		return in != not
	})
}

// on reads "label@from@to", the form that the condition builder writes.
func (c *compiler) on(t *term, raw string, not bool) bool {
	_, span, ok := strings.Cut(raw, "@")
	return ok && c.between(t, span, not)
}

func (c *compiler) sameAs(t *term, other string) bool {
	p, ok := c.s.path(c.t, other)
	if !ok {
		return false
	}
	not := t.op == "NSAMEAS"
	t.eval = func(s *store, r *row) bool { return (t.path.value(s, r) == p.value(s, r)) != not }
	return true
}

func (t *term) class(name string) bool {
	t.eval = func(s *store, r *row) bool {
		if r = t.path.walk(s, r); r == nil {
			return false
		}
		of := s.tables[r.vals[t.path.last()]]
		return of != nil && of.isA(name)
	}
	return true
}

// dynamicMe is the sys_id of the dynamic filter option "Me" on every instance.
const dynamicMe = "90d1921e5f510100a9ad2572f2b477fe"

func (c *compiler) dynamic(t *term, id string) bool {
	if id != dynamicMe {
		return false
	}
	me := c.v.id
	return t.test(func(v string) bool { return v == me })
}

// textTerm matches records that hold every word of the text somewhere.
func textTerm(text string) term {
	words := strings.Fields(strings.ToLower(text))
	return term{op: "TEXT", eval: func(_ *store, r *row) bool {
		for _, w := range words {
			if !slices.ContainsFunc(r.vals, func(v string) bool { return strings.Contains(strings.ToLower(v), w) }) {
				return false
			}
		}
		return true
	}}
}

// related adds a condition on the number of records that refer to this one:
// RLQUERYtable.field,>=1[,m2m]^conditions^ENDRLQUERY.
func (c *compiler) related(head string, conds []string) {
	parts := strings.Split(head, ",")
	tname, fname, ok := strings.Cut(parts[0], ".")
	other := c.s.tables[tname]
	if !ok || other == nil || len(parts) < 2 {
		c.drop("RLQUERY" + head)
		return
	}
	p, ok := c.s.path(other, fname)
	op := strings.TrimRight(parts[1], "0123456789")
	want, err := strconv.Atoi(parts[1][len(op):])
	if !ok || err != nil || !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, op) {
		c.drop("RLQUERY" + head)
		return
	}
	q := c.s.compile(strings.Join(conds, "^"), other, c.v)
	num := term{path: path{cols: []int{0}, kind: Integer}, op: op, val: strconv.Itoa(want)}
	num.compare()
	c.group = append(c.group, chain{{op: "RLQUERY", eval: func(s *store, r *row) bool {
		n := 0
		other.each(func(x *row) bool {
			if p.value(s, x) == r.id() && q.match(s, x) {
				n++
			}
			return true
		})
		return num.eval(s, &row{vals: []string{strconv.Itoa(n)}})
	}}})
}
