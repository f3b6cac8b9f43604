package servicenow

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Matches reports whether a record fulfills every condition of the query. A
// record that lacks the field of a condition does not: what cannot be checked is
// not taken. Dates are compared in UTC.
func (q Query) Matches(r Record) bool {
	for _, c := range q.Where {
		if !c.matches(r, 0, strings.Compare) {
			return false
		}
	}
	return true
}

// dateSlack is more than Encode ever widens a date by.
const dateSlack = maxEast + maxWest

// plausible reports whether an instance that understood every term, but compares
// text without regard to letter case, could have sent the record. Where it is
// false, the instance dropped a term.
func (q Query) plausible(r Record) bool {
	fold := func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }
	for _, c := range q.Where {
		if !c.matches(r, dateSlack, fold) {
			return false
		}
	}
	return true
}

func (c Condition) matches(r Record, slack time.Duration, compare func(a, b string) int) bool {
	if c.op == opAnyOf {
		for _, sub := range c.any {
			if sub.matches(r, slack, compare) {
				return true
			}
		}
		return false
	}
	have, ok := r[c.field]
	if !ok {
		return false
	}
	equal := func(v Value) bool { return compare(have, v.text) == 0 }
	switch c.op {
	case opMe:
		return true
	case opEmpty:
		return have == ""
	case opNotEmpty:
		return have != ""
	case opEq:
		return equal(c.values[0])
	case opNotEq:
		return !equal(c.values[0])
	case opIn, opNotIn:
		return slices.ContainsFunc(c.values, equal) == (c.op == opIn)
	case opStartsWith:
		p := c.values[0].text
		return len(have) >= len(p) && compare(have[:len(p)], p) == 0
	case opContains:
		return strings.Contains(strings.ToLower(have), strings.ToLower(c.values[0].text))
	default:
		return c.ordered(have, slack)
	}
}

// ordered checks the four comparisons. slack moves a point in time outwards.
func (c Condition) ordered(have string, slack time.Duration) bool {
	v := c.values[0]
	var order int
	switch v.kind {
	case kindTime:
		t, err := ParseTime(have)
		if err != nil {
			return false
		}
		at := v.at
		if c.op == opLess || c.op == opLessEq {
			at = at.Add(slack)
		} else {
			at = at.Add(-slack)
		}
		order = t.Compare(at)
	case kindNumber:
		a, errA := strconv.ParseFloat(have, 64)
		b, errB := strconv.ParseFloat(v.text, 64)
		if errA != nil || errB != nil {
			return false
		}
		order = cmp.Compare(a, b)
	default:
		order = strings.Compare(have, v.text)
	}
	switch c.op {
	case opLess:
		return order < 0
	case opLessEq:
		return order <= 0
	case opGreater:
		return order > 0
	default:
		return order >= 0
	}
}

// onlyTime reports whether a plausible record was sent because Encode widened a
// date: then nothing is wrong with the instance.
func (q Query) onlyTime(r Record) bool {
	for _, c := range q.Where {
		if !c.matches(r, dateSlack, strings.Compare) {
			return false
		}
	}
	return true
}
