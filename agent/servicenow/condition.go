package servicenow

import (
	"strconv"
	"strings"
	"time"
)

// Condition is one term of a Query. It is made by the functions of this file and
// is both encoded for the instance and checked on every row that comes back.
//
// Operators and their meaning are those of "Operators available for filters and
// queries" of the ServiceNow documentation. Comparison of text is exact here;
// where an instance ignores letter case, a row that differs in it is left out.
type Condition struct {
	field  string
	op     op
	values []Value
	any    []Condition // of anyOf
}

type op uint8

const (
	opEq op = iota
	opNotEq
	opIn
	opNotIn
	opLess
	opLessEq
	opGreater
	opGreaterEq
	opStartsWith
	opContains
	opEmpty
	opNotEmpty
	opAnyOf
	opMe
)

// token returns the text between field and value.
func (o op) token() string {
	switch o {
	case opEq, opMe:
		return "="
	case opNotEq:
		return "!="
	case opIn:
		return "IN"
	case opNotIn:
		return "NOT IN"
	case opLess:
		return "<"
	case opLessEq:
		return "<="
	case opGreater:
		return ">"
	case opGreaterEq:
		return ">="
	case opStartsWith:
		return "STARTSWITH"
	case opContains:
		return "LIKE"
	case opEmpty:
		return "ISEMPTY"
	case opNotEmpty:
		return "ISNOTEMPTY"
	default:
		return ""
	}
}

// Value is what a field is compared with: a text, a number or a point in time.
type Value struct {
	text string
	at   time.Time
	kind valueKind
}

type valueKind uint8

const (
	kindText valueKind = iota
	kindNumber
	kindTime
)

// Text is compared byte by byte.
func Text(s string) Value { return Value{text: s} }

// Number is compared as a number.
func Number(n int64) Value { return Value{text: strconv.FormatInt(n, 10), kind: kindNumber} }

// Time is compared as a point in time, in whole seconds, which is the resolution
// of the instance.
func Time(t time.Time) Value { return Value{at: t.UTC().Truncate(time.Second), kind: kindTime} }

// Eq holds where the field is exactly the text; with "" where it is empty.
func Eq(field, text string) Condition {
	if text == "" {
		return Empty(field)
	}
	return Condition{field: field, op: opEq, values: []Value{Text(text)}}
}

// NotEq holds where the field is another text.
func NotEq(field, text string) Condition {
	if text == "" {
		return NotEmpty(field)
	}
	return Condition{field: field, op: opNotEq, values: []Value{Text(text)}}
}

// In holds where the field is one of the texts. Without texts it is refused when
// it is encoded, as a text with a comma is.
func In(field string, texts ...string) Condition {
	return Condition{field: field, op: opIn, values: textValues(texts)}
}

// NotIn holds where the field is none of the texts.
func NotIn(field string, texts ...string) Condition {
	return Condition{field: field, op: opNotIn, values: textValues(texts)}
}

func textValues(texts []string) []Value {
	vs := make([]Value, len(texts))
	for i, t := range texts {
		vs[i] = Text(t)
	}
	return vs
}

// Less holds where the field is smaller (or earlier) than the value.
func Less(field string, v Value) Condition {
	return Condition{field: field, op: opLess, values: []Value{v}}
}

// LessEq holds where the field is at most the value.
func LessEq(field string, v Value) Condition {
	return Condition{field: field, op: opLessEq, values: []Value{v}}
}

// Greater holds where the field is greater (or later) than the value.
func Greater(field string, v Value) Condition {
	return Condition{field: field, op: opGreater, values: []Value{v}}
}

// GreaterEq holds where the field is at least the value.
func GreaterEq(field string, v Value) Condition {
	return Condition{field: field, op: opGreaterEq, values: []Value{v}}
}

// StartsWith holds where the field begins with the text.
func StartsWith(field, text string) Condition {
	return Condition{field: field, op: opStartsWith, values: []Value{Text(text)}}
}

// Contains holds where the text is a part of the field, without regard to letter
// case, as LIKE does on an instance.
func Contains(field, text string) Condition {
	return Condition{field: field, op: opContains, values: []Value{Text(text)}}
}

// Empty holds where the field is the empty string.
func Empty(field string) Condition { return Condition{field: field, op: opEmpty} }

// NotEmpty holds where the field is not the empty string.
func NotEmpty(field string) Condition { return Condition{field: field, op: opNotEmpty} }

// AnyOf holds where at least one of the conditions holds. It cannot be nested.
func AnyOf(cs ...Condition) Condition { return Condition{op: opAnyOf, any: cs} }

// isMe holds for the record of the user who asks. What comes back cannot be
// checked here; the caller asks for two rows and accepts exactly one.
func isMe(field string) Condition { return Condition{field: field, op: opMe} }

func (c Condition) eachField(f func(string)) {
	if c.op != opAnyOf {
		f(c.field)
	}
	for _, sub := range c.any {
		sub.eachField(f)
	}
}

func (c Condition) encode(b *strings.Builder, zone *time.Location) error {
	if c.op == opAnyOf {
		return c.encodeAny(b, zone)
	}
	if err := checkField(c.field); err != nil {
		return err
	}
	if len(c.values) == 0 && (c.op == opIn || c.op == opNotIn) {
		return badQuery("list for", c.field, "is empty")
	}
	b.WriteString(c.field)
	b.WriteString(c.op.token())
	if c.op == opMe {
		b.WriteString("javascript:gs.getUserID()")
	}
	for i, v := range c.values {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := c.encodeValue(b, v, zone); err != nil {
			return err
		}
	}
	return nil
}

func (c Condition) encodeAny(b *strings.Builder, zone *time.Location) error {
	if len(c.any) == 0 {
		return badQuery("alternatives of", "AnyOf", "are missing")
	}
	for i, sub := range c.any {
		if sub.op == opAnyOf {
			return badQuery("alternatives of", "AnyOf", "cannot be nested")
		}
		if i > 0 {
			b.WriteString("^OR")
		}
		if err := sub.encode(b, zone); err != nil {
			return err
		}
	}
	return nil
}

func (c Condition) encodeValue(b *strings.Builder, v Value, zone *time.Location) error {
	if v.kind == kindTime {
		switch c.op {
		case opLess, opLessEq, opGreater, opGreaterEq:
			writeTime(b, c.op, v.at, zone)
			return nil
		default:
			return badQuery("time for", c.field, "can be compared by Less, LessEq, Greater and GreaterEq only")
		}
	}
	if err := checkValue(c.field, v.text); err != nil {
		return err
	}
	switch {
	case v.text == "":
		return badQuery("value of", c.field, "is empty")
	case (c.op == opIn || c.op == opNotIn) && strings.Contains(v.text, ","):
		return badQuery("value of", c.field, "holds a comma, which separates the texts of a list")
	case (c.op == opLess || c.op == opGreater) && v.text[0] == '=':
		return badQuery("value of", c.field, "begins with =, which would change the comparison")
	}
	b.WriteString(v.text)
	return nil
}
