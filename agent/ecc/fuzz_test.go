package ecc_test

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
)

// FuzzPayload holds against encoding/xml whatever the scanner takes: that one
// must take it too, and read the same parameters. The echo of them is read back
// by both.
func FuzzPayload(f *testing.F) {
	for s := range badPayloads() {
		f.Add(s)
	}
	for _, s := range []string{
		"<parameters/>", `<parameters><parameter name="a" value="b&#10;&quot;"/><parameter name="work"><select a='1'>&lt;</select></parameter></parameters>`,
		"<a><parameter name='x'>a<![CDATA[<b>]]>\r\nc</parameter><output>x<y/>z</output></a>", "<see_attachment/>", "<ö ü='€'/>",
		`<a><parameter name='password' value='hunter2'/><parameter name='name' value='x hunter2'/></a>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ecc.ParsePayload(s)
		if err != nil {
			return
		}
		compareWithStandard(t, s, p)
		checkEcho(t, p)
	})
}

// standardPayload is a payload as encoding/xml reads it.
type standardPayload struct {
	Parameters []struct {
		Name  string  `xml:"name,attr"`
		Value *string `xml:"value,attr"`
		Text  string  `xml:",chardata"`
		Inner string  `xml:",innerxml"`
	} `xml:"parameter"`
}

// spaced maps white space to spaces: encoding/xml does not do it in attributes.
func spaced(s string) string {
	return strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ").Replace(s)
}

func compareWithStandard(t *testing.T, s string, p ecc.Payload) {
	t.Helper()
	if strings.Contains(s, ":") || strings.Contains(s, "<?") || !ascii(s) || p.Root == "" {
		return // encoding/xml resolves namespaces, minds the encoding and knows older names
	}
	var want standardPayload
	if err := xml.NewDecoder(strings.NewReader(s)).Decode(&want); err != nil {
		t.Fatalf("encoding/xml does not read %q: %v", s, err)
	}
	if len(want.Parameters) != len(p.Parameters) {
		t.Fatalf("%q: %d parameters, encoding/xml finds %d", s, len(p.Parameters), len(want.Parameters))
	}
	for i, q := range p.Parameters {
		w := want.Parameters[i]
		value := w.Text
		switch {
		case w.Value != nil:
			value = *w.Value
		case q.Markup:
			value = w.Inner
		}
		if spaced(q.Name) != spaced(w.Name) || spaced(q.Value) != spaced(value) {
			t.Fatalf("%q: parameter %d is %q = %q, encoding/xml reads %q = %q", s, i, q.Name, q.Value, w.Name, value)
		}
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// checkEcho reads back what was echoed: every parameter that is no secret, with
// the same value, and all fields of the record.
func checkEcho(t *testing.T, p ecc.Payload) {
	t.Helper()
	r := ecc.Result{Echo: &ecc.Echo{Message: fullMessage(), Payload: p}}
	text := marshal(t, &r)
	got := read(t, text)
	again, err := ecc.ParsePayload(text[strings.Index(text, "<parameters>"):strings.LastIndex(text, "</results>")])
	if err != nil || len(again.Parameters) != len(got.Parameters) {
		t.Fatalf("the echo is not read back: %v: %s", err, text)
	}
	have := map[[2]string]int{}
	for i, q := range got.Parameters {
		have[[2]string{q.Name, q.Value}]++
		if again.Parameters[i].Name != q.Name || again.Parameters[i].Value != q.Value {
			t.Fatalf("parameter %d of the echo is read in two ways: %q, %q", i, again.Parameters[i].Name, q.Name)
		}
	}
	if len(ecc.SecretValues(p)) > 0 || strings.Contains(text, "***") {
		return // masked
	}
	for _, q := range p.Parameters {
		if key := [2]string{q.Name, q.Value}; have[key] == 0 {
			t.Fatalf("%q is not echoed: %s", key, text)
		}
	}
}

// FuzzResult writes any texts and reads them back with encoding/xml.
func FuzzResult(f *testing.F) {
	f.Add("name", "a\x00b\x1b[0m", "err\r\n")
	f.Add("><", "]]>&\"'", "\xff\xed\xa0\x80")
	f.Add("a:b", "\uFFFE\U0001F600\t", "<x>")
	f.Fuzz(func(t *testing.T, name, out, errText string) {
		r := ecc.Result{
			Error: errText, Added: []ecc.Attribute{{Name: name, Value: out}},
			Items: []ecc.ResultElement{
				ecc.OutputItem(out, errText),
				ecc.CommandItem(out, out, errText, 3),
				{Name: name, Attributes: []ecc.Attribute{{Name: name, Value: out}}, Text: out, Markup: true},
			},
		}
		text := marshal(t, &r)
		got := read(t, text)
		wantOut, wantErr := ecc.Sanitize(out), ecc.Sanitize(errText)
		if got.Outputs[0] != wantOut || got.Stdout[0] != wantOut || got.Stderr[0] != wantErr || got.Parameters[0].Value != wantOut {
			t.Fatalf("%q arrives as %q", out, text)
		}
		if errText != "" && (got.Error == nil || *got.Error != wantErr) {
			t.Fatalf("error %q arrives as %q", errText, text)
		}
		var b strings.Builder
		if err := r.Write(&b); err != nil || b.String() != text {
			t.Fatalf("written in pieces it differs: %v", err)
		}
		if _, err := ecc.ParsePayload(text); err != nil {
			t.Fatalf("the scanner refuses what was written: %v", err)
		}
	})
}

// FuzzMessage reads any bytes as a stored message, and any record.
func FuzzMessage(f *testing.F) {
	f.Add(ecc.Encode(fullMessage()), "0", "x")
	f.Add([]byte{1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, "", "")
	f.Fuzz(func(t *testing.T, data []byte, column, value string) {
		if m, err := ecc.Decode(data); err == nil {
			again, err := ecc.Decode(ecc.Encode(m))
			if d := cmp.Diff(m, again); err != nil || d != "" {
				t.Fatalf("%v: %s", err, d)
			}
		}
		record := fullRecord()
		record[column] = value
		if m, err := ecc.FromRecord(record); err == nil {
			if again, err := ecc.Decode(ecc.Encode(m)); err != nil || cmp.Diff(m, again) != "" {
				t.Fatalf("%q = %q: %v: %s", column, value, err, cmp.Diff(m, again))
			}
		}
	})
}

// FuzzOutput decodes any output to text, whole and streamed.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("\xFF\xFEa\x00"), "850")
	f.Add([]byte("d\x00i\x00r\x00x"), "")
	f.Add([]byte("gr\x94\xE1e"), "437")
	f.Fuzz(func(t *testing.T, data []byte, codePage string) {
		text := ecc.DecodeOutput(data, codePage)
		if !utf8.ValidString(text) {
			t.Fatalf("%q gives %q", data, text)
		}
		streamed, err := io.ReadAll(ecc.OutputReader(strings.NewReader(string(data)), codePage))
		if err != nil || !utf8.Valid(streamed) {
			t.Fatalf("%q gives %q, %v", data, streamed, err)
		}
	})
}

// FuzzNative reads any text as the parameters of a native action, and any text
// as a claim.
func FuzzNative(f *testing.F) {
	f.Add(`{"a":[1,2.5,"x",null]}`)
	f.Add(ecc.ProcessingClaim([]string{sysID}, "processing"))
	f.Fuzz(func(t *testing.T, s string) {
		values, err := ecc.NativeParams(ecc.Payload{Parameters: []ecc.Parameter{{Name: "params", Value: s}}})
		if err == nil && values == nil {
			t.Fatal("neither parameters nor an error")
		}
		claims, err := ecc.ParseProcessingClaim(s)
		if err != nil {
			return
		}
		for _, c := range claims {
			again, err := ecc.ParseProcessingClaim(ecc.ProcessingClaim([]string{c.SysID}, c.State))
			if err != nil || again[0] != c {
				t.Fatalf("%v is read back as %v, %v", c, again, err)
			}
		}
	})
}
