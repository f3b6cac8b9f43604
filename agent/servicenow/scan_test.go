package servicenow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzScan compares the reader with encoding/json.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"result":[{"a":"b","c":{"value":"d","link":"e"}}]}`, `{"a":1.5e3,"b":null,"c":true}`, `{"a":"\u00e4\ud83d\ude00\ud800"}`,
		`{"a":[{}]} `, `{"a":"\n"}`, `{`, `{"a":"`, `{"a":-}`, "{\"a\":\"\xff\"}", `{"a":{"b":{"c":[1,2,{"d":"e"}]}}}`, `{"a":"\`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := flatObject(data)
		var want map[string]any
		wantErr := json.Unmarshal(data, &want)
		if wantErr == nil && want != nil && err != nil && !errors.Is(err, errJSONDepth) {
			t.Fatalf("valid JSON is refused: %v", err)
		}
		if err != nil || wantErr != nil {
			return
		}
		for k, v := range want {
			if s, ok := v.(string); ok && got[k] != s {
				t.Fatalf("%q is %q, want %q", k, got[k], s)
			}
		}
		_, _ = parseEnvelope(data, 10)
		_, _ = parseBatch(data, "x", 3)
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a\"b\\c", "\x00\x1f\n\r\t", "ü\u2028", "\xff\xfe", "a\xf0\x9f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); got != want && strings.ReplaceAll(got, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestHostileJSONIsBounded(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"deep":   `{"a":` + strings.Repeat(`[`, 1_000_000),
		"values": `{"a":[` + strings.Repeat(`0,`, 1_100_000) + `0]}`,
	} {
		if _, err := parseEnvelope([]byte(body), 10); !errors.Is(err, errJSONDepth) && !errors.Is(err, errJSONSize) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServerTimingAndRetryAfter(t *testing.T) {
	t.Parallel()
	sem, sesh := serverTiming([]string{`t;desc="abc", sem_wait;dur=1500, sesh_wait;dur=20.5`, "junk;dur=x, sem_wait;dur=-1"})
	if sem.Milliseconds() != 1500 || sesh.Microseconds() != 20500 {
		t.Errorf("%v %v", sem, sesh)
	}
}
