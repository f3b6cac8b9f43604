package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/pelletier/go-toml/v2"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Explanation is what is known of one key.
type Explanation struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Origin  string `json:"origin"` // "default", "file /etc/x.toml:3", "environment SALLYPORT_X", "flag x"
	Default string `json:"default,omitempty"`
	Help    string `json:"help"`
	Env     string `json:"env,omitempty"`   // the variable that sets it
	Range   string `json:"range,omitempty"` // the values that it can have
	Restart bool   `json:"restart"`         // a change needs a restart, a reload is not enough
}

// Keys returns the names of all keys, elements of lists by their names.
func (c *Config) Keys() []string {
	var keys []string
	for _, l := range c.leaves() {
		keys = append(keys, l.Key)
	}
	return keys
}

// Explain tells the value of a key, where it came from and what it means. A key
// without the name of an element ("instance.url") is explained without a value.
// A key that does not exist gives fault.Invalid.
func (c *Config) Explain(key string) (Explanation, error) {
	for _, l := range c.leaves() {
		if l.Key == key || l.path == key {
			e := l.explain()
			e.Value, e.Origin = l.text(), c.origins[l.path].String()
			return e, nil
		}
	}
	for _, l := range schemaLeaves() {
		if l.Key == key {
			return l.explain(), nil
		}
	}
	return Explanation{}, fault.New(fault.Invalid, "explain", strconv.Quote(key), errors.New("there is no such key")).
		WithHint(c.suggest(key))
}

func (l leaf) explain() Explanation {
	e := Explanation{
		Key: l.Key, Default: l.tag.Get("default"), Help: l.tag.Get("help"), Env: l.Env, Restart: l.tag.Get("restart") == "true",
	}
	switch enum := l.tag.Get("enum"); {
	case enum != "":
		e.Range = enum
	case l.tag.Get("min") != "" || l.tag.Get("max") != "":
		e.Range = l.tag.Get("min") + " to " + orElse(l.tag.Get("max"), "any")
	}
	return e
}

// schemaLeaves returns the keys of the schema, each list with one element.
func schemaLeaves() []leaf {
	c := Default()
	v := valueOf(c)
	for _, f := range fieldsOf(v) {
		grow(f.value)
	}
	grow(reflect.ValueOf(&c.Policy.Rules).Elem())
	var out []leaf
	var visit func(v reflect.Value, key string)
	visit = func(v reflect.Value, key string) {
		for _, name := range order(v) {
			f := fieldsOf(v)[name]
			k := join(key, name)
			switch {
			case isSection(f.value.Type()):
				visit(f.value, k)
			case f.value.Kind() == reflect.Slice && isSection(f.value.Type().Elem()):
				visit(f.value.Index(0), k)
			default:
				out = append(out, leaf{field: f, Key: k, Env: envName(k, f.value)})
			}
		}
	}
	visit(v, "")
	return out
}

func grow(v reflect.Value) {
	if v.Kind() == reflect.Slice && isSection(v.Type().Elem()) {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setDefaults(v.Index(0))
	}
}

// String says where a value came from.
func (o origin) String() string {
	switch {
	case o.kind == "env":
		return "environment " + o.name
	case o.kind == "flag":
		return "flag " + o.name
	case o.kind == "file" && o.at.src != nil:
		line, _ := o.at.position()
		return fmt.Sprintf("file %s:%d", o.at.src.file, line)
	default:
		return "default"
	}
}

// tree returns the effective configuration as plain values, secrets as
// references.
func (c *Config) tree() map[string]any { return branch(valueOf(c)) }

func branch(v reflect.Value) map[string]any {
	out := map[string]any{}
	for name, f := range fieldsOf(v) {
		switch {
		case isSection(f.value.Type()):
			out[name] = branch(f.value)
		case f.value.Kind() == reflect.Slice && isSection(f.value.Type().Elem()):
			list := make([]any, f.value.Len())
			for i := range list {
				list[i] = branch(f.value.Index(i))
			}
			if len(list) > 0 {
				out[name] = list
			}
		case f.value.IsZero() && f.tag.Get("default") == "":
		default:
			out[name] = f.plain()
		}
	}
	return out
}

// ShowTOML returns the effective configuration as TOML that gives it again when
// it is loaded. Secrets are shown as their references, and what stands in
// settings where a reference belongs as "***".
func (c *Config) ShowTOML() ([]byte, error) {
	data, err := toml.Marshal(c.tree())
	if err != nil {
		return nil, fault.New(fault.Internal, "show", "configuration", err).WithHint("report this defect")
	}
	return data, nil
}

// ShowJSON is ShowTOML as JSON.
func (c *Config) ShowJSON() ([]byte, error) {
	data, err := json.MarshalIndent(c.tree(), "", "  ")
	if err != nil {
		return nil, fault.New(fault.Internal, "show", "configuration", err).WithHint("report this defect")
	}
	return data, nil
}

// Change is one key that differs between two configurations.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old"` // "" where the key is new
	New string `json:"new"` // "" where it is gone
	// Restart says that a reload is not enough.
	Restart bool `json:"restart"`
}

// Diff returns what differs between two configurations, in the order of the
// keys. Elements of lists are compared by their names, so that moving one is no
// change.
func Diff(before, after *Config) []Change {
	old, now := texts(before), texts(after)
	var out []Change
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if o, existed := old[key]; !existed || o.text() != now[key].text() {
			ch := Change{Key: key, New: now[key].text(), Restart: now[key].tag.Get("restart") == "true"}
			if existed {
				ch.Old = o.text()
			}
			out = append(out, ch)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if _, still := now[key]; !still {
			out = append(out, Change{Key: key, Old: old[key].text(), Restart: old[key].tag.Get("restart") == "true"})
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int {
		if a.Key < b.Key {
			return -1
		}
		if a.Key > b.Key {
			return 1
		}
		return 0
	})
	return out
}

func texts(c *Config) map[string]leaf {
	out := map[string]leaf{}
	for _, l := range c.leaves() {
		out[l.Key] = l
	}
	return out
}
