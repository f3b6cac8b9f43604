package simulator

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScanTags compares the scanner with encoding/xml on whatever that accepts.
func FuzzScanTags(f *testing.F) {
	for _, s := range []string{
		`<a><b c="1>2" d='x'/>t<!-- <n/> --><![CDATA[<z/>]]></a>`, `<?xml version="1.0"?><q><sys_id state="processing">ab</sys_id></q>`, `<a`, `<!DOCTYPE a><a/>`, `<a b=">`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got []string
		scanTags(text, func(tag xmlTag) bool {
			tag.attr("state")
			got = append(got, tag.name)
			return true
		})
		var want []string
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			tok, err := d.RawToken()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return // not well-formed: only that nothing breaks
			}
			switch el := tok.(type) {
			case xml.StartElement:
				name := el.Name.Local
				if el.Name.Space != "" {
					name = el.Name.Space + ":" + name
				}
				want = append(want, name)
			case xml.Directive:
				return // a document type may nest; payloads have none
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q: %q, encoding/xml says %q", text, got, want)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a\"\\\n\x00\x1f", "ä\xff\u2028🜚", "\xf0\x9f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		b := appendString(nil, s)
		if err := json.Unmarshal(b, &got); err != nil || !utf8.Valid(b) {
			t.Fatalf("%q gives %q: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("%q comes back as %q", s, got)
		}
	})
}
