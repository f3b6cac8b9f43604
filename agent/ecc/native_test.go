package ecc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

func TestNativeParams(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]map[string]any{
		"": {},
		`<parameters><parameter name="skip_sensor" value="true"/><parameter name="source" value="t"/><parameter name="text" value="1"/></parameters>`: {"text": "1"},
		`<parameters><parameter name="params">{"n": 12345678901234567890, "list": [true, null], "s": "a,[{"}</parameter><parameter name="x" value="y"/></parameters>`: {
			"n": json.Number("12345678901234567890"), "list": []any{true, nil}, "s": "a,[{",
		},
		`<parameters><parameter name="params" value="{}"/></parameters>`: {},
	} {
		got, err := ecc.NativeParams(parse(t, payload))
		if err != nil {
			t.Errorf("%s: %v", payload, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", payload, d)
		}
	}
}

func TestNativeParamsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, params := range []string{"", " ", "null", "[]", "1", `"x"`, "{", "{}{}", "{} x", strings.Repeat("[", 200_001), `{"a":[` + strings.Repeat("0,", 200_000) + "0]}"} {
		p := ecc.Payload{Parameters: []ecc.Parameter{{Name: "params", Value: params}}}
		if v, err := ecc.NativeParams(p); err == nil || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%.30q gives %v, %v", params, v, err)
		}
	}
}

func TestNativeResult(t *testing.T) {
	t.Parallel()
	if !ecc.IsNative("sallyport") || ecc.IsNative("Command") {
		t.Error("the native topic is Sallyport in any case, and nothing else")
	}
	const output = `{"ended":3,"names":["<a>","b&c"]}`
	r := ecc.Result{Items: []ecc.ResultElement{ecc.NativeItem(json.RawMessage(output))}}
	got := read(t, marshal(t, &r))
	if fmt.Sprint(got.Outputs) != "["+output+"]" {
		t.Errorf("output is %v", got.Outputs)
	}
}
