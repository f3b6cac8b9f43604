package config

import (
	"encoding/json"
	"reflect"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Settings are a connector's settings as the file has them, to be decoded into
// the connector's own struct when it is known. The zero Settings are empty.
type Settings struct {
	target string
	root   *node
}

func (d *decoder) settings(n *node, v reflect.Value, f field) {
	if n.table == nil {
		d.add(n, f.path, "it must be a table", "write it as a section: [connector.settings]")
		return
	}
	v.Set(reflect.ValueOf(Settings{root: n}))
	d.seen[f.path] = n.at
}

// Decode fills a pointer to a struct with toml tags; the tags default, min,
// max, enum, required and unit mean what they mean in this package. All
// mistakes come back at once: a fault.Invalid with [Problems], which name file
// and line.
func (s Settings) Decode(into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fault.New(fault.Internal, "decode settings", s.target, nil).WithHint("report this defect of the connector")
	}
	root := s.root
	if root == nil {
		root = &node{table: map[string]*node{}}
	}
	setDefaults(v.Elem())
	d := decoder{seen: map[string]mark{}}
	d.structure(root, v.Elem(), "")
	return d.problems.asError("read settings of target", s.target)
}

// Map returns a copy of the settings as they are in the file.
func (s Settings) Map() map[string]any {
	if s.root == nil {
		return map[string]any{}
	}
	m, _ := s.root.plain().(map[string]any)
	return m
}

// text returns the settings for showing and comparing, what may be a secret
// masked.
func (s Settings) text() string {
	data, err := json.Marshal(hideIn(s.Map()))
	if err != nil {
		return "{}"
	}
	return string(data)
}
