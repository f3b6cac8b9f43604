package servicenow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// DefaultLimit is the number of rows that a Query without a limit asks for. The
// instance's own default is 10,000 (Table API documentation), which is more than
// one answer should hold.
const DefaultLimit = 500

// MaxLimit is the largest number of rows that one page may ask for.
const MaxLimit = 10000

// Query says which rows of a table are wanted. The zero value wants all rows and
// all fields, in the order of their sys_id. A Query is a value; it is safe to
// copy and to use from several goroutines as long as nobody changes its slices.
type Query struct {
	// Where holds the conditions; all of them must hold.
	Where []Condition
	// Order is the sort order; sys_id is always the last key, so that pages are
	// stable.
	Order []Order
	// Fields are the columns wanted; none means all. sys_id and the fields of the
	// conditions are always read too, because the answer is checked by them.
	Fields []string
	// Limit is the largest number of rows in the page; 0 means DefaultLimit.
	Limit int
	// Offset is the number of rows to skip.
	Offset int
	// Count asks the instance to count all matching rows into Page.Total, which
	// costs it a second query.
	Count bool
}

// Order is one sort key.
type Order struct {
	Field string
	Desc  bool
}

// Ascending sorts by a field, smallest first.
func Ascending(field string) Order { return Order{Field: field} }

// Descending sorts by a field, greatest first.
func Descending(field string) Order { return Order{Field: field, Desc: true} }

// Encode returns the encoded query: conditions joined by ^, then the order.
//
// zone is the time zone of the user who asks, because the instance reads date
// literals in it. When zone is nil, dates are widened by the largest offsets that
// exist, so that the answer holds more rows and never fewer; Matches then cuts
// exactly. The error is of kind fault.Invalid when a field or a value cannot be
// expressed safely.
func (q Query) Encode(zone *time.Location) (string, error) {
	var b strings.Builder
	for i, c := range q.Where {
		if i > 0 {
			b.WriteByte('^')
		}
		if err := c.encode(&b, zone); err != nil {
			return "", err
		}
	}
	return encodeOrder(&b, q.Order)
}

func encodeOrder(b *strings.Builder, order []Order) (string, error) {
	bySysID := false
	for _, o := range order {
		if err := checkField(o.Field); err != nil {
			return "", err
		}
		bySysID = bySysID || o.Field == "sys_id"
		writeOrder(b, o)
	}
	if !bySysID {
		writeOrder(b, Order{Field: "sys_id"})
	}
	return b.String(), nil
}

func writeOrder(b *strings.Builder, o Order) {
	if b.Len() > 0 {
		b.WriteByte('^')
	}
	b.WriteString("ORDERBY")
	if o.Desc {
		b.WriteString("DESC")
	}
	b.WriteString(o.Field)
}

// fieldList returns the columns to ask for, or "" for all of them.
func (q Query) fieldList() (string, error) {
	if len(q.Fields) == 0 {
		return "", nil
	}
	seen := make(map[string]bool, len(q.Fields)+len(q.Where)+1)
	list := make([]string, 0, len(q.Fields)+len(q.Where)+1)
	add := func(f string) {
		if !seen[f] {
			seen[f] = true
			list = append(list, f)
		}
	}
	add("sys_id")
	for _, f := range q.Fields {
		if err := checkField(f); err != nil {
			return "", err
		}
		add(f)
	}
	for _, c := range q.Where {
		c.eachField(add)
	}
	return strings.Join(list, ","), nil
}

func (q Query) limit() int {
	if q.Limit <= 0 {
		return DefaultLimit
	}
	return min(q.Limit, MaxLimit)
}

// checkField accepts column names and dot-walks over them. Column names of
// ServiceNow are lower case; custom ones begin with u_ or x_.
func checkField(f string) error {
	if f == "" || len(f) > 240 || f[0] == '.' || f[len(f)-1] == '.' || strings.Contains(f, "..") {
		return badQuery("field", f, "is no column name")
	}
	for i := range len(f) {
		c := f[i]
		if c != '_' && c != '.' && !isLower(c) && !isDigit(c) {
			return badQuery("field", f, "may hold lower case letters, digits, _ and . only")
		}
	}
	return nil
}

func checkTable(t string) error {
	if t == "" || len(t) > 80 {
		return badQuery("table", t, "is no table name")
	}
	for i := range len(t) {
		if c := t[i]; c != '_' && !isLower(c) && !isDigit(c) {
			return badQuery("table", t, "may hold lower case letters, digits and _ only")
		}
	}
	return nil
}

// checkSysID accepts what can stand in a path segment. Real ones are 32 hex
// digits, but a few base records have names instead ("global").
func checkSysID(id string) error {
	if id == "" || len(id) > 64 {
		return badQuery("sys_id", id, "is empty or too long")
	}
	for i := range len(id) {
		c := id[i]
		if c != '_' && c != '-' && !isLower(c) && !isDigit(c) && (c < 'A' || c > 'Z') {
			return badQuery("sys_id", id, "may hold letters, digits, _ and - only")
		}
	}
	return nil
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// checkValue refuses what would end a term, and what the instance would run.
func checkValue(field, v string) error {
	if strings.Contains(v, "^") {
		return badQuery("value of", field, "holds ^, which the query language cannot express")
	}
	for _, r := range v {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\ufffd' {
			return badQuery("value of", field, "holds the control or broken character "+strconv.QuoteRune(r))
		}
	}
	if len(v) > 4000 {
		return badQuery("value of", field, fmt.Sprintf("is %d bytes long, at most 4000 fit into a query", len(v)))
	}
	if lower := strings.ToLower(strings.TrimSpace(v)); strings.HasPrefix(lower, "javascript:") {
		return badQuery("value of", field, "begins with javascript:, which the instance would run")
	}
	return nil
}

func badQuery(what, subject, why string) error {
	return fault.New(fault.Invalid, "encode query", what+" "+strconv.Quote(subject), errors.New(why)).
		WithHint("compare a field with a plain value, or filter on another field")
}
