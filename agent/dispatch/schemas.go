package dispatch

import (
	"bytes"
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// schemas holds the compiled parameter schemas by action name.
type schemas struct{ byAction map[string]*jsonschema.Schema }

func compileSchemas(r *connectors.Registry) (*schemas, error) {
	s := &schemas{byAction: map[string]*jsonschema.Schema{}}
	for _, c := range r.Connectors() {
		for _, a := range c.Describe().Actions {
			if len(a.Parameters) == 0 {
				continue
			}
			compiled, err := compileSchema(a.Name, a.Parameters)
			if err != nil {
				return nil, fault.New(fault.Internal, "compile the parameter schema of", a.Name, err)
			}
			s.byAction[a.Name] = compiled
		}
	}
	return s, nil
}

func compileSchema(name string, data []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	url := "sallyport:/" + name
	if err := c.AddResource(url, doc); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// check validates the parameters of a native call; an action without a schema
// takes any.
func (s *schemas) check(action string, p connectors.Params) error {
	schema := s.byAction[action]
	if schema == nil {
		return nil
	}
	err := schema.Validate(map[string]any(p))
	if err == nil {
		return nil
	}
	text := err.Error()
	if v, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		text = firstCause(v)
	}
	return fault.New(fault.Invalid, "check the parameters of", action, errors.New(text)).
		WithHint("see `sallyport connectors show` for what the action takes")
}

// firstCause returns the innermost messages of a validation error on one line.
func firstCause(v *jsonschema.ValidationError) string {
	lines := strings.Split(v.Error(), "\n")
	if len(lines) > 1 {
		lines = lines[1:]
	}
	for i, l := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(l), "-"))
	}
	return strings.Join(lines, "; ")
}
