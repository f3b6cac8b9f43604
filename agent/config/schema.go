package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/agent/secret"
)

// Schema returns the JSON Schema (2020-12) of the file, for editors. It is made
// from the same tags as everything else.
func Schema() ([]byte, error) {
	s := objectSchema(reflect.New(reflect.TypeFor[Config]()).Elem())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Sallyport configuration"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fault.New(fault.Internal, "make", "schema", err).WithHint("report this defect")
	}
	return data, nil
}

func objectSchema(v reflect.Value) map[string]any {
	properties := map[string]any{}
	var required []string
	for name, f := range fieldsOf(v) {
		s := typeSchema(f, f.value.Type())
		if help := f.tag.Get("help"); help != "" {
			s["description"] = help
		}
		properties[name] = s
		if f.required() {
			required = append(required, name)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

func typeSchema(f field, t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[secret.Ref]():
		return map[string]any{"type": "string", "pattern": "^(env|file|systemd):.+"}
	case t == reflect.TypeFor[Settings]():
		return map[string]any{"type": "object"}
	case t == reflect.TypeFor[policy.Condition]():
		return conditionSchema()
	case t == reflect.TypeFor[time.Duration]():
		return withDefault(f, map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`})
	case f.tag.Get("unit") == "bytes":
		return withDefault(f, map[string]any{"type": []string{"string", "integer"}, "pattern": "^[0-9]+ ?([KMGT]?i?B?)$"})
	case isSection(t):
		return objectSchema(reflect.New(t).Elem())
	}
	switch t.Kind() {
	case reflect.Slice:
		return map[string]any{"type": "array", "items": typeSchema(field{}, t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": typeSchema(field{}, t.Elem())}
	case reflect.Bool:
		return withDefault(f, map[string]any{"type": "boolean"})
	case reflect.String:
		s := map[string]any{"type": "string"}
		if enum := f.tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, "|")
		}
		return withDefault(f, s)
	default:
		return withDefault(f, numberSchema(f, t))
	}
}

func numberSchema(f field, t reflect.Type) map[string]any {
	s := map[string]any{"type": "integer"}
	if t.Kind() == reflect.Float64 {
		s["type"] = "number"
	}
	for tag, key := range map[string]string{"min": "minimum", "max": "maximum"} {
		if n, err := strconv.ParseFloat(f.tag.Get(tag), 64); err == nil {
			s[key] = n
		}
	}
	return s
}

func withDefault(f field, s map[string]any) map[string]any {
	text, ok := f.tag.Lookup("default")
	if !ok {
		return s
	}
	s["default"] = text
	if n, err := strconv.ParseFloat(text, 64); err == nil && f.tag.Get("unit") == "" && s["type"] != "string" {
		s["default"] = n
	}
	if b, err := strconv.ParseBool(text); err == nil && s["type"] == "boolean" {
		s["default"] = b
	}
	return s
}

func conditionSchema() map[string]any {
	scalar := map[string]any{"type": []string{"string", "number", "boolean"}}
	return map[string]any{"anyOf": []any{
		scalar,
		map[string]any{"type": "array", "minItems": 1, "items": scalar},
		map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{
			"pattern": map[string]any{"type": "string"}, "under": map[string]any{"type": "string"},
			"min": map[string]any{"type": "number"}, "max": map[string]any{"type": "number"},
		}},
	}}
}
