package ecc_test

import (
	"embed"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

//go:embed testdata/*.xml
var goldens embed.FS

// golden compares with a file of testdata, which holds the shapes that readers
// on instances rely on.
func golden(t *testing.T, name, got string) {
	t.Helper()
	want, err := goldens.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs: %s\nit is now:\n%s", name, d, got)
	}
}

func marshal(t *testing.T, r *ecc.Result) string {
	t.Helper()
	s, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// results is how readers on an instance see a result: encoding/xml stands for
// their XML parser, the paths are those that they use.
type results struct {
	XMLName   xml.Name `xml:"results"`
	Error     *string  `xml:"error,attr"`
	Warn      *string  `xml:"warn,attr"`
	ProbeTime string   `xml:"probe_time,attr"`
	Code      string   `xml:"result_code,attr"`
	Results   []struct {
		Error   *string  `xml:"error,attr"`
		Command string   `xml:"command,attr"`
		Exit    string   `xml:"exit_code,attr"`
		Inner   string   `xml:",innerxml"`
		Outputs []string `xml:"output"`
		Stdout  []string `xml:"stdout"`
		Stderr  []string `xml:"stderr"`
	} `xml:"result"`
	Parameters []struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	} `xml:"parameters>parameter"`

	Outputs, Stdout, Stderr []string `xml:"-"` // of all results
}

func read(t *testing.T, s string) results {
	t.Helper()
	var r results
	if err := xml.Unmarshal([]byte(s), &r); err != nil {
		t.Fatalf("not readable: %v\n%.2000q", err, s)
	}
	for _, item := range r.Results {
		r.Outputs = append(r.Outputs, item.Outputs...)
		r.Stdout = append(r.Stdout, item.Stdout...)
		r.Stderr = append(r.Stderr, item.Stderr...)
	}
	return r
}

func (r results) parameter(name string) []string {
	var values []string
	for _, p := range r.Parameters {
		if p.Name == name {
			values = append(values, p.Value)
		}
	}
	return values
}

func sampleEcho(t *testing.T) *ecc.Echo {
	t.Helper()
	m := fullMessage()
	m.ResponseTo, m.FromHost, m.FromSysID, m.ErrorString, m.Signature, m.Processed = "", "", "", "", "", ""
	m.State = ecc.StateProcessing
	return &ecc.Echo{Message: m, Payload: parse(t, `<parameters><parameter name="name" value="dir C:\ &amp; echo ok"/><parameter name="skip_sensor" value="true"/></parameters>`)}
}

func TestGoldenCommand(t *testing.T) {
	t.Parallel()
	r := ecc.Result{
		ProbeTime: 2054 * time.Millisecond, Echo: sampleEcho(t),
		Items: []ecc.ResultElement{ecc.CommandItem(`dir C:\ & echo ok`, "one\r\ntwo <3>\n", "", 1)},
	}
	golden(t, "command.xml", marshal(t, &r))
}

func TestGoldenError(t *testing.T) {
	t.Parallel()
	r := ecc.Result{ProbeTime: 1808105 * time.Millisecond, Error: "Socket closed\r\n\tat \"x\"", Echo: sampleEcho(t)}
	golden(t, "error.xml", marshal(t, &r))
}

func TestGoldenWarningAndREST(t *testing.T) {
	t.Parallel()
	r := ecc.Result{
		ProbeTime: 268 * time.Millisecond, Warn: "slow",
		Attributes: []ecc.Attribute{{Name: "post_processing_time", Value: "0"}, {Name: "probe_time", Value: "forged"}},
		Items:      []ecc.ResultElement{ecc.OutputItem(`{"ok":true}`, "")},
		Elements: []ecc.ResultElement{{Name: "httpHeaders", Children: []ecc.ResultElement{
			{Name: "httpHeader", Attributes: []ecc.Attribute{{Name: "name", Value: "Content-Type"}, {Name: "value", Value: "application/json"}}},
		}}},
		Added: []ecc.Attribute{{Name: "http_status_code", Value: "200"}},
		Echo:  sampleEcho(t),
	}
	golden(t, "rest.xml", marshal(t, &r))
}

func TestGoldenRows(t *testing.T) {
	t.Parallel()
	r := ecc.Result{Items: []ecc.ResultElement{
		{Attributes: []ecc.Attribute{{Name: "query", Value: "select 1 as n"}}, Children: []ecc.ResultElement{
			{Name: "row", Attributes: []ecc.Attribute{{Name: "id", Value: "1"}}, Children: []ecc.ResultElement{
				{Name: "n", Attributes: []ecc.Attribute{{Name: "class", Value: "java.lang.Integer"}, {Name: "length", Value: "11"}, {Name: "type", Value: "4"}}, Text: "1"},
			}},
			{Text: `<row id="2"><n>2</n></row>`, Markup: true},
		}},
		{Attributes: []ecc.Attribute{{Name: "query", Value: "second"}}},
	}}
	golden(t, "rows.xml", marshal(t, &r))
}

func TestErrorIsOnBothElements(t *testing.T) {
	t.Parallel()
	r := ecc.Result{Error: "Timed out", Items: []ecc.ResultElement{{Attributes: []ecc.Attribute{{Name: "error", Value: "forged"}}}, ecc.OutputItem("partial", "")}}
	got := read(t, marshal(t, &r))
	if got.Error == nil || *got.Error != "Timed out" || got.Code != "900000" || len(got.Results) != 2 {
		t.Fatalf("%+v", got)
	}
	for _, item := range got.Results {
		if item.Error == nil || *item.Error != "Timed out" {
			t.Errorf("%+v", item)
		}
	}
	r.Code = 7
	if got := read(t, marshal(t, &r)); got.Code != "7" {
		t.Errorf("code %s", got.Code)
	}
	if got := read(t, marshal(t, &ecc.Result{ProbeTime: -time.Second})); got.Error != nil || got.Code != "0" || got.ProbeTime != "0" || len(got.Results) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAnyBytesArriveReadable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\x00b\x1b[31mred":         "a␀b␛[31mred",
		"tab\tlf\ncr\rcrlf\r\n end": "tab\tlf\ncr\rcrlf\r\n end",
		"]]> <!-- &amp; \"'":        "]]> <!-- &amp; \"'",
		"\xff\xfe\xc3":              "\uFFFD\uFFFD\uFFFD",
		"\xed\xa0\x80":              "\uFFFD\uFFFD\uFFFD",
		"\uFFFE\uFFFF\U0001F600":    "\uFFFD\uFFFD\U0001F600",
		"\u0085\u2028\x7f":          "\u0085\u2028\x7f",
		"  spaces kept  ":           "  spaces kept  ",
	} {
		if got := ecc.Sanitize(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
		r := ecc.Result{Items: []ecc.ResultElement{ecc.CommandItem(in, in, in, 0)}, Added: []ecc.Attribute{{Name: in, Value: in}}}
		got := read(t, marshal(t, &r))
		if got.Stdout[0] != want || got.Stderr[0] != want || got.Results[0].Command != want || got.Parameters[0].Name != want || got.Parameters[0].Value != want {
			t.Errorf("%q arrives as %q", in, got.Stdout)
		}
	}
}

func TestNamesCannotBreakTheResult(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"日本 col": "日本_col", "׃": "_", "count(*)": "count___", "1st": "_1st", "a b": "a_b", "": "_", "ns:x": "ns_x", "ok-1.x": "ok-1.x", "größe": "größe", "><evil/": "__evil_", "\xff": "_",
	} {
		if got := ecc.ElementName(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
		r := ecc.Result{Items: []ecc.ResultElement{{Children: []ecc.ResultElement{{Name: in, Text: "x", Attributes: []ecc.Attribute{{Name: in, Value: "1"}, {Name: want, Value: "2"}}}}}}}
		_ = read(t, marshal(t, &r))
	}
}

func TestMarkupThatIsNoneGoesAsText(t *testing.T) {
	t.Parallel()
	for text, kept := range map[string]bool{
		"<a/>text<b c='1'/>": true, "": true, "plain": true, `<p:a xmlns:p="u" p:b="1"><p:c xml:lang="x"/></p:a>`: true,
		"<a>": false, "</output>": false, "<!DOCTYPE a>": false, "<p:a/>": false, `<a xmlns:p="u"/><p:b/>`: false, "a & b": false, "\x00": false, "\uFEFF": false,
		`<a p:b="1"/>`: false, `<a:b:c xmlns:a="u"/>`: false, `<a xmlns:p=""/>`: false, "<׃/>": false, "<ö ü='1'/>": true, "<?xml version='1.0'?><a/>": false,
	} {
		if err := ecc.WellFormed(text); (err == nil) != kept {
			t.Errorf("%q: %v", text, err)
		}
		r := ecc.Result{Items: []ecc.ResultElement{{Children: []ecc.ResultElement{{Name: "output", Text: text, Markup: true}}}}}
		got := read(t, marshal(t, &r))
		if !kept && got.Outputs[0] != ecc.Sanitize(text) {
			t.Errorf("%q arrives as %q", text, got.Outputs)
		}
		if kept && text != "" && got.Results[0].Inner != "<output>"+text+"</output>" {
			t.Errorf("%q arrives as %q", text, got.Results[0].Inner)
		}
	}
}

func opener(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
}

func TestWriteStreamsWhatAppendHolds(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("ä€😀<&\r\n\x00", 20_000) + "\xF0\x9F"
	whole := ecc.Result{Items: []ecc.ResultElement{{Children: []ecc.ResultElement{{Name: "output", Text: text}}}}, Echo: sampleEcho(t)}
	want := marshal(t, &whole)
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text)), "late": iotest.DataErrReader(strings.NewReader(text)),
	} {
		streamed := whole
		streamed.Items = []ecc.ResultElement{{Children: []ecc.ResultElement{{Name: "output", Open: opener(r)}}}}
		var b strings.Builder
		if err := streamed.Write(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s: the streamed result differs", name)
		}
	}
	var b strings.Builder
	if err := whole.Write(&b); err != nil || b.String() != want {
		t.Errorf("written in pieces it differs (%v)", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestOpenThatFails(t *testing.T) {
	t.Parallel()
	gone := fault.New(fault.Unavailable, "open", "file", io.ErrUnexpectedEOF)
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open":  func() (io.ReadCloser, error) { return nil, gone },
		"read":  opener(iotest.ErrReader(gone)),
		"stuck": opener(emptyReader{}),
	} {
		r := ecc.Result{Items: []ecc.ResultElement{{Children: []ecc.ResultElement{{Name: "output", Open: open}}}}}
		if _, err := r.Marshal(); err == nil {
			t.Errorf("%s: no error", name)
		}
		err := r.Write(io.Discard)
		if want := map[bool]error{true: io.ErrNoProgress, false: gone}[name == "stuck"]; !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteReportsTheWritersError(t *testing.T) {
	t.Parallel()
	r := ecc.Result{Items: []ecc.ResultElement{ecc.OutputItem(strings.Repeat("x", 100_000), "")}}
	if err := r.Write(brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
