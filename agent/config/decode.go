package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// valueDecoder is implemented by types that take several forms in a file.
type valueDecoder interface{ UnmarshalValue(v any) error }

// decoder fills structs from nodes. It goes on after a mistake, so that all are
// found.
type decoder struct {
	problems Problems
	seen     map[string]mark // every key that was set, by path
}

func (d *decoder) add(n *node, path, message, hint string) {
	d.problems = append(d.problems, n.at.problem(path, message, hint))
}

// decode fills v from n.
func (d *decoder) decode(n *node, v reflect.Value, f field) {
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.decode(n, v.Elem(), f)
		return
	case v.Type() == reflect.TypeFor[Settings]():
		d.settings(n, v, f)
		return
	case d.custom(n, v, f):
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, f.path)
	case reflect.Slice:
		d.slice(n, v, f)
	case reflect.Map:
		d.mapping(n, v, f)
	case reflect.Interface:
		v.Set(reflect.ValueOf(n.plain()))
		d.seen[f.path] = n.at
	default:
		d.scalar(n, v, f)
	}
}

// custom decodes types that know how, and reports whether v is one.
func (d *decoder) custom(n *node, v reflect.Value, f field) bool {
	if !v.CanAddr() {
		return false
	}
	var err error
	switch x := v.Addr().Interface().(type) {
	case valueDecoder:
		err = x.UnmarshalValue(n.plain())
	case encoding.TextUnmarshaler:
		text, ok := n.value.(string)
		if !ok {
			d.add(n, f.path, "it must be a string", `write it in quotes: "..."`)
			return true
		}
		err = x.UnmarshalText([]byte(text))
	default:
		return false
	}
	if err != nil {
		message, hint := messageOf(err)
		d.add(n, f.path, message, orElse(hint, "see: sallyport config explain"))
		return true
	}
	d.seen[f.path] = n.at
	return true
}

func (d *decoder) structure(n *node, v reflect.Value, path string) {
	if n.table == nil {
		d.add(n, path, "it must be a table", "write it as a section: ["+path+"]")
		return
	}
	fields := fieldsOf(v)
	for _, key := range slices.Sorted(maps.Keys(n.table)) {
		f, ok := fields[key]
		if !ok {
			d.unknown(n.table[key], path, key, slices.Sorted(maps.Keys(fields)))
			continue
		}
		f.path = join(path, key)
		d.decode(n.table[key], f.value, f)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		f, set := fields[key], n.table[key]
		switch {
		case !f.required():
		case set == nil:
			d.add(n, join(path, key), "it is missing", "set "+key)
		case f.value.Kind() == reflect.String && f.value.Len() == 0 && set.value == "",
			f.value.Kind() == reflect.Slice && f.value.Len() == 0 && set.list != nil && len(set.list) == 0:
			d.add(set, join(path, key), "it is empty", "set "+key)
		}
	}
}

func (d *decoder) unknown(n *node, path, key string, known []string) {
	hint := "remove it; the keys here are: " + strings.Join(known, ", ")
	if best := nearest(key, known); best != "" {
		hint = fmt.Sprintf("did you mean %s?", best)
	}
	d.add(n, join(path, key), "the key is not known", hint)
}

func (d *decoder) slice(n *node, v reflect.Value, f field) {
	if n.list == nil {
		hint := `write a list: ["..."]`
		if v.Type().Elem().Kind() == reflect.Struct {
			hint = "write it as a section in double brackets: [[" + f.path + "]]"
		}
		d.add(n, f.path, "it must be a list", hint)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.list), len(n.list))
	for i, e := range n.list {
		setDefaults(out.Index(i))
		ef := f
		ef.path = element(f.path, i)
		d.decode(e, out.Index(i), ef)
	}
	v.Set(out)
	d.seen[f.path] = n.at
}

func (d *decoder) mapping(n *node, v reflect.Value, f field) {
	if n.table == nil {
		d.add(n, f.path, "it must be a table", "write it as a section: ["+f.path+"]")
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.table))
	for key, e := range n.table {
		item := reflect.New(v.Type().Elem()).Elem()
		setDefaults(item)
		ef := field{path: join(f.path, key)}
		d.decode(e, item, ef)
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), item)
	}
	v.Set(out)
	d.seen[f.path] = n.at
}

func (d *decoder) scalar(n *node, v reflect.Value, f field) {
	if n.table != nil || n.list != nil {
		d.add(n, f.path, "it must be a single value", "write "+f.example(v))
		return
	}
	if err := f.set(v, n.value); err != nil {
		message, hint := messageOf(err)
		d.add(n, f.path, message, hint)
		return
	}
	d.seen[f.path] = n.at
}

// setDefaults sets every field to its default.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() {
		return
	}
	for _, f := range fieldsOf(v) {
		if text, ok := f.tag.Lookup("default"); ok {
			// A default that cannot be read shows in the test that reads them all.
			_ = f.setText(f.value, text)
			continue
		}
		setDefaults(f.value)
	}
}

func valueOf(c *Config) reflect.Value { return reflect.ValueOf(c).Elem() }
