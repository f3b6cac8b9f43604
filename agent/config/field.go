package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// field is one key of the schema: where it is, its tags and its value.
type field struct {
	path  string
	tag   reflect.StructTag
	value reflect.Value
}

func (f field) required() bool { return f.tag.Get("required") == "true" }

// fieldsOf returns the fields of a struct by their keys. Embedded structs
// without a key of their own are part of the struct around them.
func fieldsOf(v reflect.Value) map[string]field {
	out := map[string]field{}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		key, _, _ := strings.Cut(sf.Tag.Get("toml"), ",")
		switch {
		case key == "-" || !sf.IsExported():
		case sf.Anonymous && key == "" && sf.Type.Kind() == reflect.Struct:
			for k, f := range fieldsOf(v.Field(i)) {
				if _, outer := out[k]; !outer {
					out[k] = f
				}
			}
		default:
			if key == "" {
				key = strings.ToLower(sf.Name)
			}
			out[key] = field{tag: sf.Tag, value: v.Field(i)}
		}
	}
	return out
}

func invalid(message, hint string) error {
	return fault.New(fault.Invalid, "", "", errors.New(message)).WithHint(hint)
}

// set stores a scalar as go-toml gives it, and checks its bounds.
func (f field) set(v reflect.Value, value any) error {
	text, isText := value.(string)
	switch {
	case v.Type() == reflect.TypeFor[time.Duration](), f.tag.Get("unit") == "bytes":
		n, isNumber := value.(int64)
		if isNumber && f.tag.Get("unit") == "bytes" {
			text, isText = strconv.FormatInt(n, 10), true
		}
		if !isText {
			return invalid("it must be a string with a unit", "write "+f.example(v))
		}
		return f.setText(v, text)
	case v.Kind() == reflect.String:
		if !isText {
			return invalid("it must be a string", `write it in quotes: "..."`)
		}
		return f.setText(v, text)
	}
	b, isBool := value.(bool)
	if v.Kind() == reflect.Bool && isBool {
		v.SetBool(b)
		return nil
	}
	switch n := value.(type) {
	case int64:
		if v.Kind() != reflect.Bool {
			return f.setText(v, strconv.FormatInt(n, 10))
		}
	case float64:
		if v.CanFloat() {
			return f.setText(v, strconv.FormatFloat(n, 'g', -1, 64))
		}
	default:
		if rv := reflect.ValueOf(value); rv.IsValid() && rv.Type().AssignableTo(v.Type()) {
			v.Set(rv) // a date or time
			return nil
		}
	}
	return invalid("it has the wrong type", "write "+f.example(v))
}

// setText stores a value from text: a default, an environment variable, a flag.
func (f field) setText(v reflect.Value, text string) error {
	if v.CanAddr() {
		if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
			return u.UnmarshalText([]byte(text))
		}
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String {
		list := reflect.MakeSlice(v.Type(), 0, 0)
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = reflect.Append(list, reflect.ValueOf(part).Convert(v.Type().Elem()))
			}
		}
		v.Set(list)
		return nil
	}
	n, err := f.number(v, text)
	if err != nil {
		return err
	}
	if err := f.bounds(v, n); err != nil {
		return err
	}
	switch {
	case v.Kind() == reflect.String:
		return f.setString(v, text)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return invalid("it must be true or false", "write true or false")
		}
		v.SetBool(b)
	case v.CanFloat():
		v.SetFloat(n)
	case v.CanInt() && !v.OverflowInt(int64(n)):
		v.SetInt(f.integer(v, text))
	case v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n)):
		v.SetUint(uint64(n))
	default:
		return invalid("it cannot be set from text", "set it in the configuration file")
	}
	return nil
}

func (f field) setString(v reflect.Value, text string) error {
	if enum, ok := f.tag.Lookup("enum"); ok {
		values := strings.Split(enum, "|")
		if !slices.Contains(values, text) {
			shown := strings.Join(slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" }), ", ")
			hint := "write one of: " + shown
			if best := nearest(text, values); best != "" {
				hint = "did you mean " + best + "? It is one of: " + shown
			}
			return invalid("the value is not known", hint)
		}
	}
	v.SetString(text)
	return nil
}

// number reads a text as a number in the field's unit; 0 for what is none.
func (f field) number(v reflect.Value, text string) (float64, error) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, invalid("it is no duration", "write "+f.example(v))
		}
		return float64(d), nil
	case f.tag.Get("unit") == "bytes":
		n, err := parseSize(text)
		return float64(n), err
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return 0, invalid("it is no number", "write "+f.example(v))
		}
		return n, nil
	case v.CanInt() || v.CanUint():
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, invalid("it is no whole number", "write "+f.example(v))
		}
		return float64(n), nil
	default:
		return 0, nil
	}
}

// integer reads what number has accepted, without the rounding of a float.
func (f field) integer(v reflect.Value, text string) int64 {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, _ := time.ParseDuration(text)
		return int64(d)
	}
	if f.tag.Get("unit") == "bytes" {
		n, _ := parseSize(text)
		return n
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func (f field) bounds(v reflect.Value, n float64) error {
	plain := field{tag: reflect.StructTag(`unit:"` + f.tag.Get("unit") + `"`)}
	for _, bound := range []string{"min", "max"} {
		text, ok := f.tag.Lookup(bound)
		if !ok {
			continue
		}
		limit, err := plain.number(v, text)
		if err == nil && (bound == "min" && n < limit || bound == "max" && n > limit) {
			return invalid("it is out of range", f.rangeHint())
		}
	}
	return nil
}

func (f field) rangeHint() string {
	lo, hi := f.tag.Get("min"), f.tag.Get("max")
	switch {
	case hi == "":
		return "choose at least " + lo
	case lo == "":
		return "choose at most " + hi
	default:
		return fmt.Sprintf("choose between %s and %s", lo, hi)
	}
}

// example shows how a value is written.
func (f field) example(v reflect.Value) string {
	text := f.tag.Get("default")
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return strconv.Quote(orElse(text, "30s"))
	case f.tag.Get("unit") == "bytes":
		return strconv.Quote(orElse(strings.TrimSuffix(text, "0"), "16MB"))
	case v.Kind() == reflect.String:
		return strconv.Quote(orElse(text, "..."))
	case v.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "a number such as " + orElse(text, "1")
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// parseSize reads a number of bytes: 1024, "64KB", "16MB", "2GB" (powers of
// 1024).
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(strings.ToUpper(strings.TrimSpace(text)), "KMGTIB ")
	unit := strings.TrimSpace(strings.ToUpper(strings.TrimSpace(text))[len(digits):])
	shift := map[string]int{"": 0, "B": 0, "K": 10, "KB": 10, "KIB": 10, "M": 20, "MB": 20, "MIB": 20, "G": 30, "GB": 30, "GIB": 30, "T": 40, "TB": 40, "TIB": 40}
	n, err := strconv.ParseInt(digits, 10, 64)
	by, ok := shift[unit]
	if err != nil || !ok || n < 0 || n > math.MaxInt64>>by {
		return 0, invalid("it is no size", `write a number of bytes, or "64KB", "16MB", "2GB"`)
	}
	return n << by, nil
}

// nearest returns the word that was likely meant, "" for none.
func nearest(word string, known []string) string {
	best, bound := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); k != "" && d <= bound {
			best, bound = k, d-1
		}
	}
	return best
}

// distance counts the insertions, removals, replacements and swaps between two
// words.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
