package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// node is a JSON Schema, as far as the output of the commands needs it.
type node struct {
	Schema     string           `json:"$schema,omitempty"`
	Title      string           `json:"title,omitempty"`
	Type       string           `json:"type,omitempty"`
	Format     string           `json:"format,omitempty"`
	Minimum    *int             `json:"minimum,omitempty"`
	Items      *node            `json:"items,omitempty"`
	Properties map[string]*node `json:"properties,omitempty"`
	Required   []string         `json:"required,omitempty"`
	Additional *node            `json:"additionalProperties,omitempty"` //nolint:tagliatelle // JSON Schema's own name
}

// schemaOf returns the schema of what a command writes as JSON.
func schemaOf[T any](title string) *node {
	n := schemaOfType(reflect.TypeFor[T]())
	n.Schema, n.Title = "https://json-schema.org/draft/2020-12/schema", title
	return n
}

func schemaOfType(t reflect.Type) *node {
	if t == reflect.TypeFor[time.Time]() {
		return &node{Type: "string", Format: "date-time"}
	}
	if t == reflect.TypeFor[json.RawMessage]() {
		return &node{} // a document whose form is not this program's
	}
	switch t.Kind() {
	case reflect.Struct:
		n := &node{Type: "object", Properties: map[string]*node{}}
		n.fields(t)
		return n
	case reflect.Pointer:
		return schemaOfType(t.Elem())
	case reflect.Slice, reflect.Array:
		return &node{Type: "array", Items: schemaOfType(t.Elem())}
	case reflect.Map:
		return &node{Type: "object", Additional: schemaOfType(t.Elem())}
	case reflect.String:
		return &node{Type: "string"}
	case reflect.Bool:
		return &node{Type: "boolean"}
	case reflect.Float32, reflect.Float64:
		return &node{Type: "number"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &node{Type: "integer", Minimum: new(int)}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &node{Type: "integer"}
	default:
		return &node{}
	}
}

// fields adds the members of a struct, those of embedded ones included.
func (n *node) fields(t reflect.Type) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			n.fields(f.Type)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		n.Properties[name] = schemaOfType(f.Type)
		if !strings.Contains(options, "omit") {
			n.Required = append(n.Required, name)
		}
	}
}

func (a *app) writeSchema(n *node) error {
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fault.New(fault.Internal, "encode", "the schema", err).WithHint("report this defect")
	}
	return a.writeRaw(data)
}
