package ecc_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/ecc"
)

// allocated returns how many bytes a function allocates. It must not run beside
// other tests.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestHostileInputsCostLittleMemory measures the whole process, so that it and
// its cases run one after the other.
//
//nolint:paralleltest // memory of the whole process is measured
func TestHostileInputsCostLittleMemory(t *testing.T) {
	const size = 4 << 20
	fill := func(head, piece, tail string) string {
		return head + strings.Repeat(piece, (size-len(head)-len(tail))/len(piece)) + tail
	}
	var attributes, names strings.Builder
	for i := range 1 << 18 {
		fmt.Fprintf(&attributes, " a%x=''", i)
		fmt.Fprintf(&names, "<p%x/>", i)
	}
	laughs := "<!DOCTYPE a [<!ENTITY b 'ha'>" + strings.Repeat("<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>", 100) + "]><a>&c;</a>"
	for name, s := range map[string]string{
		"deep":       strings.Repeat("<a>", size/3),
		"attributes": "<a" + attributes.String() + "/>",
		"elements":   "<a>" + names.String() + "</a>",
		"parameters": fill("<a>", "<parameter name='n'/>", "</a>"),
		"skipped":    fill("<a><b>", "<c/>", "</b></a>"),
		"laughs":     laughs,
		"references": fill("<a><parameter name='n' value='", "&lt;", "'/></a>"),
		"returns":    fill("<a><parameter name='n'>", "\r", "</parameter></a>"),
		"pieces":     fill("<a><parameter name='n'>", "x<!---->", "</parameter></a>"),
		"sections":   fill("<a><parameter name='n'>", "<![CDATA[y]]>", "</parameter></a>"),
		"20 MB":      "<a><parameter name='n' value='" + strings.Repeat("z", 20_000_000) + "'/></a>",
		"no end":     fill("<a b='", "z", ""),
		"unclosed":   fill("<a>", "<!--", ""),
		"long name":  fill("<", "n", "/>"),
		"not XML":    fill("", "whoami ", ""),
		"not UTF-8":  fill("<a>", "é", "\xFF</a>"),
	} {
		var err error
		used := allocated(func() { _, err = ecc.ParsePayload(s) })
		if most := int64(len(s))*4 + 4<<20; used > most {
			t.Errorf("%s: %d bytes allocated for %d (%v)", name, used, len(s), err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
	for name, s := range map[string]string{
		"arrays": fill("", "[],", ""), "nested": fill("", "[", ""), "numbers": fill(`{"a":[`, "0,", "0]}"), "text": fill(`{"a":"`, "x", `"}`),
	} {
		p := ecc.Payload{Parameters: []ecc.Parameter{{Name: "params", Value: s}}}
		if used := allocated(func() { _, _ = ecc.NativeParams(p) }); used > int64(len(s))*6+32<<20 {
			t.Errorf("params of %s: %d bytes allocated for %d", name, used, len(s))
		}
	}
	data := append([]byte{1}, strings.Repeat("\x01a\x00", 1<<20)...)
	if used := allocated(func() { _, _ = ecc.Decode(data) }); used > int64(len(data))*4+4<<20 {
		t.Errorf("decode: %d bytes allocated for %d", used, len(data))
	}
}
