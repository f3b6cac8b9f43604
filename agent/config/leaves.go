package config

import (
	"encoding"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/agent/secret"
)

// leaf is one value of a configuration.
type leaf struct {
	field

	// Key is how people name it: elements of lists by their names
	// ("instance.prod.url").
	Key string
	// Env is the environment variable that sets it, "" where none does.
	Env string
}

// leaves returns all values in the order of the schema.
func (c *Config) leaves() []leaf {
	var out []leaf
	walk(valueOf(c), "", "", func(l leaf) { out = append(out, l) })
	return out
}

// walk visits the values below v.
func walk(v reflect.Value, path, key string, visit func(leaf)) {
	for _, name := range order(v) {
		f := fieldsOf(v)[name]
		f.path = join(path, name)
		k := join(key, name)
		switch {
		case isSection(f.value.Type()):
			walk(f.value, f.path, k, visit)
		case f.value.Kind() == reflect.Slice && isSection(f.value.Type().Elem()):
			for i := range f.value.Len() {
				e := f.value.Index(i)
				walk(e, element(f.path, i), elementKey(k, e, i), visit)
			}
		default:
			visit(leaf{field: f, Key: k, Env: envName(k, f.value)})
		}
	}
}

// isSection reports whether a type is a table with keys of its own.
func isSection(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[Settings]() || t == reflect.TypeFor[time.Time]() {
		return false
	}
	return !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// order returns the keys of a struct in the order of its fields.
func order(v reflect.Value) []string {
	var names []string
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if key, _, _ := strings.Cut(sf.Tag.Get("toml"), ","); sf.IsExported() && key != "-" && key != "" {
			names = append(names, key)
		}
	}
	return names
}

func elementKey(key string, e reflect.Value, i int) string {
	name := ""
	if r, ok := reflect.TypeAssert[policy.Rule](e); ok {
		name = r.ID()
	} else if f := e.FieldByName("Name"); f.IsValid() {
		name = f.String()
	}
	if name == "" {
		return element(key, i)
	}
	return join(key, name)
}

// envName returns the variable of a key. The policy and the connectors'
// settings have none: see the package's comment.
func envName(key string, v reflect.Value) string {
	if strings.HasPrefix(key, "policy.") || v.Type() == reflect.TypeFor[Settings]() {
		return ""
	}
	return EnvPrefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}

// text shows a value as it would be written, without quotes.
func (f field) text() string {
	switch x := f.value.Interface().(type) {
	case secret.Ref:
		return x.String()
	case Settings:
		return x.text()
	case time.Duration:
		return durationText(x)
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	case map[string]policy.Condition:
		return conditionsText(x)
	case int64:
		if f.tag.Get("unit") == "bytes" {
			return sizeText(x)
		}
	}
	return fmt.Sprint(f.value.Interface())
}

// plain returns a value for TOML and JSON.
func (f field) plain() any {
	switch x := f.value.Interface().(type) {
	case secret.Ref, time.Duration:
		return f.text()
	case int64:
		if f.tag.Get("unit") == "bytes" {
			return f.text()
		}
		return x
	case Settings:
		return hideIn(x.Map())
	case map[string]policy.Condition:
		return conditionsPlain(x)
	default:
		return x
	}
}

func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func sizeText(n int64) string {
	for _, u := range []struct {
		name  string
		shift int
	}{{"GB", 30}, {"MB", 20}, {"KB", 10}} {
		if n > 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func conditionsPlain(m map[string]policy.Condition) map[string]any {
	out := map[string]any{}
	for key, c := range m {
		table := map[string]any{}
		switch {
		case len(c.Equals) > 0:
			out[key] = c.Equals
			continue
		case c.Pattern != "":
			table["pattern"] = c.Pattern
		case c.Under != "":
			table["under"] = c.Under
		}
		if c.Min != nil {
			table["min"] = *c.Min
		}
		if c.Max != nil {
			table["max"] = *c.Max
		}
		out[key] = table
	}
	return out
}

func conditionsText(m map[string]policy.Condition) string {
	plain := conditionsPlain(m)
	keys := make([]string, 0, len(plain))
	for key := range plain {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for i, key := range keys {
		keys[i] = fmt.Sprintf("%s = %v", key, plain[key])
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

// hideIn masks what may be a secret in settings: texts below keys that sound
// like one, unless they are references.
func hideIn(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	re := secretKey()
	for key, v := range m {
		out[key] = hideValue(v, re.MatchString(key))
	}
	return out
}

func hideValue(v any, hide bool) any {
	switch x := v.(type) {
	case map[string]any:
		return hideIn(x)
	case []any:
		list := make([]any, len(x))
		for i, e := range x {
			list[i] = hideValue(e, hide)
		}
		return list
	case string:
		if _, err := secret.ParseRef(x); hide && err != nil && x != "" {
			return secret.Mask
		}
		return hideSecret(x)
	default:
		return v
	}
}
