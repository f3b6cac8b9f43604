package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/connectors"
)

// Condition is what a rule asks of one parameter. Exactly one form is used:
// Equals (one value or a list of which one must fit), Pattern (a word with
// stars), Under (a distinguished name at or below which the parameter's must
// be), or the range Min to Max, both included and either of them optional.
//
// A parameter that is a list fits when each of its elements does, and is denied
// when one of them is.
type Condition struct {
	Equals  []string `json:"equals,omitempty"`
	Pattern string   `json:"pattern,omitempty"`
	Under   string   `json:"under,omitempty"`
	Min     *float64 `json:"min,omitempty"`
	Max     *float64 `json:"max,omitempty"`
}

// UnmarshalValue reads what a TOML file gives: a string, number or truth value,
// a list of them, or a table with pattern, under, min or max.
func (c *Condition) UnmarshalValue(v any) error {
	*c = Condition{}
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			s, ok := text(e)
			if !ok {
				return errors.New("a list may hold strings, numbers and truth values only")
			}
			c.Equals = append(c.Equals, s)
		}
		if len(c.Equals) == 0 {
			return errors.New("an empty list fits nothing")
		}
		return nil
	case map[string]any:
		return c.fromTable(x)
	default:
		s, ok := text(v)
		if !ok {
			return errors.New("a condition is a value, a list or a table with pattern, under, min or max")
		}
		c.Equals = []string{s}
		return nil
	}
}

func (c *Condition) fromTable(table map[string]any) error {
	for key, v := range table {
		s, isText := v.(string)
		n, isNumber := float(v)
		switch {
		case key == "pattern" && isText:
			c.Pattern = s
		case key == "under" && isText:
			c.Under = s
		case key == "min" && isNumber:
			c.Min = &n
		case key == "max" && isNumber:
			c.Max = &n
		default:
			return fmt.Errorf("%q is not a condition: use pattern or under with a string, min or max with a number", key)
		}
	}
	return nil
}

func float(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	default:
		return 0, false
	}
}

// text returns a scalar parameter as text.
func text(v any) (string, bool) {
	switch v.(type) {
	case string, bool, int, int64, float64, json.Number:
		return connectors.Params{"": v}.String(""), true
	default:
		return "", false
	}
}

// condition is a compiled Condition.
type condition struct {
	param   string
	equals  []string
	pattern []string
	under   dn
	ranged  bool
	lo, hi  float64
}

func (c Condition) compile(param string) (condition, error) {
	out := condition{param: param, equals: c.Equals, lo: math.Inf(-1), hi: math.Inf(1)}
	forms := 0
	if len(c.Equals) > 0 {
		forms++
	}
	for _, e := range c.Equals {
		if strings.Contains(e, "*") {
			return out, errors.New(`a * in a value is only a *; write { pattern = "..." } for a pattern`)
		}
	}
	if c.Pattern != "" {
		forms++
		p, err := parsePattern(c.Pattern)
		switch {
		case err != nil:
			return out, err
		case len(p.words) != 1 || p.tail:
			return out, errors.New("the pattern of a parameter is one word with something besides the *")
		}
		out.pattern = p.words[0]
	}
	if c.Under != "" {
		forms++
		base, err := parseDN(c.Under)
		if err != nil {
			return out, err
		}
		out.under = base
	}
	if c.Min != nil || c.Max != nil {
		forms++
		out.ranged = true
		if c.Min != nil {
			out.lo = *c.Min
		}
		if c.Max != nil {
			out.hi = *c.Max
		}
		if !(out.lo <= out.hi) {
			return out, errors.New("no number is between min and max")
		}
	}
	if forms != 1 {
		return out, errors.New("a condition has exactly one form: a value, a list, pattern, under, or min and max")
	}
	return out, nil
}

// fits asks one compiled condition of a job's parameters.
func (c condition) fits(params connectors.Params, s stars) bool {
	v, ok := params[c.param]
	if !ok || v == nil {
		return false
	}
	switch list := v.(type) {
	case []any:
		if s.free {
			return slices.ContainsFunc(list, func(e any) bool { return c.one(e, s) })
		}
		return len(list) > 0 && !slices.ContainsFunc(list, func(e any) bool { return !c.one(e, s) })
	case []string:
		if s.free {
			return slices.ContainsFunc(list, func(e string) bool { return c.one(e, s) })
		}
		return len(list) > 0 && !slices.ContainsFunc(list, func(e string) bool { return !c.one(e, s) })
	default:
		return c.one(v, s)
	}
}

// one asks of one value. What cannot be read is what a deny rule could mean.
func (c condition) one(v any, s stars) bool {
	t, ok := text(v)
	if !ok {
		return s.free
	}
	switch {
	case len(c.equals) > 0:
		return slices.ContainsFunc(c.equals, func(e string) bool { return e == t || s.free && strings.EqualFold(e, t) })
	case len(c.pattern) > 0:
		return s.word(c.pattern, t)
	case len(c.under) > 0:
		d, err := parseDN(t)
		if err != nil {
			return s.free
		}
		return d.under(c.under)
	default:
		n, ok := decimal(t)
		if !ok {
			return s.free
		}
		return c.lo <= n && n <= c.hi
	}
}

// decimal reads a plain decimal number: no exponent, no hexadecimal, no inf.
func decimal(s string) (float64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 15 || digits[0] == '.' || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}
