package ecc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// TopicNative is the topic of Sallyport's own actions. The name is the action,
// the source the target. The parameters are either those of the payload or,
// where they need types, one parameter "params" that holds a JSON object.
const TopicNative = "Sallyport"

const paramsName = "params"

// maxJSONValues bounds the values of one params object, because a decoded value
// takes many times the memory of its text.
const maxJSONValues = 100_000

// IsNative reports whether a topic is Sallyport's own, in any case.
func IsNative(topic string) bool { return strings.EqualFold(topic, TopicNative) }

// NativeParams returns the parameters of a native action: the JSON object of
// the parameter "params", with numbers as [json.Number] so that none loses a
// digit, or else all parameters of the payload as texts. Those that say what to
// run and not how (every field of the record, skip_sensor) are not among them.
// Where there is a "params", other parameters are for the echo only. A "params"
// that holds no object gives a [fault.Invalid].
func NativeParams(p Payload) (map[string]any, error) {
	if text, ok := p.Get(paramsName); ok {
		values, err := decodeObject(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "read the parameter", paramsName, err).
				WithHint("put one JSON object into the parameter params")
		}
		return values, nil
	}
	values := make(map[string]any, len(p.Parameters))
	for _, q := range p.Parameters {
		if q.Name != "skip_sensor" && echoIndex(q.Name) < 0 {
			values[q.Name] = q.Value
		}
	}
	return values, nil
}

func decodeObject(text string) (map[string]any, error) {
	if jsonValues(text) > maxJSONValues {
		return nil, fmt.Errorf("it holds more than %d values", maxJSONValues)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, err
	}
	if values == nil {
		return nil, errors.New("it is null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the JSON object")
	}
	return values, nil
}

// jsonValues returns a bound of how many values a JSON text holds.
func jsonValues(text string) int {
	n, quoted := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// NativeItem returns the <result> of a native action: its JSON as the text of
// <output>.
func NativeItem(output json.RawMessage) ResultElement {
	return ResultElement{Children: []ResultElement{{Name: "output", Text: string(output)}}}
}
