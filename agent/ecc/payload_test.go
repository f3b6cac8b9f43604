package ecc_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

func parse(t *testing.T, s string) ecc.Payload {
	t.Helper()
	p, err := ecc.ParsePayload(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return p
}

func TestParsePayloadReadsParameters(t *testing.T) {
	t.Parallel()
	got := parse(t, "\uFEFF<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n<!-- a --><parameters>\n"+
		`<parameter name="name" value="dir C:\ &amp; echo &quot;ok&quot;&#10;&#x41;"/>`+
		`<parameter value='say "x"' name='quoted'></parameter>`+
		"<parameter name=\"white\" value=\"a\r\n\tb\"/>"+
		`<parameter name="text">one &lt; two</parameter>`+
		`<parameter name="cdata">x<![CDATA[ <a> & ]]><!-- gone --><?gone too?>y</parameter>`+
		"<parameter name=\"lines\">a\r\nb\rc&#13;</parameter>"+
		`<parameter name="work"><select table="T" where="k=1 &amp; l"><col/></select></parameter>`+
		`<parameter name="both" value="wins">loses</parameter>`+
		`<parameter name="empty"/>`+
		`<parameter name="twice" value="1"/><parameter name="twice" value="2"/>`+
		"</parameters>\n<!-- b -->")
	want := ecc.Payload{Root: "parameters", Parameters: []ecc.Parameter{
		{Name: "name", Value: "dir C:\\ & echo \"ok\"\nA"},
		{Name: "quoted", Value: `say "x"`},
		{Name: "white", Value: "a  b"},
		{Name: "text", Value: "one < two"},
		{Name: "cdata", Value: "x <a> & y"},
		{Name: "lines", Value: "a\nb\nc\r"},
		{Name: "work", Value: `<select table="T" where="k=1 &amp; l"><col/></select>`, Markup: true},
		{Name: "both", Value: "wins"},
		{Name: "empty"},
		{Name: "twice", Value: "1"},
		{Name: "twice", Value: "2"},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if v, ok := got.Get("twice"); !ok || v != "2" {
		t.Errorf("the last one counts, got %q", v)
	}
	if _, ok := got.Get("Twice"); ok {
		t.Error("names are case-sensitive")
	}
}

func TestParsePayloadKeepsOtherElements(t *testing.T) {
	t.Parallel()
	p := parse(t, `<parameters><output><E:Envelope xmlns:E="u"><E:Body>&amp;</E:Body></E:Envelope></output>`+
		`<parameter name="soap_username" value="u"/><httpHeaders><httpHeader X-Trace='1'/></httpHeaders><note>a&lt;<![CDATA[b]]></note><gone/></parameters>`)
	out, ok := p.Element("output")
	if !ok || out.Inner != `<E:Envelope xmlns:E="u"><E:Body>&amp;</E:Body></E:Envelope>` || out.Outer != "<output>"+out.Inner+"</output>" {
		t.Errorf("output is %+v", out)
	}
	if _, plain := out.Text(); plain {
		t.Error("an element with elements has no plain text")
	}
	if h, _ := p.Element("httpHeaders"); h.Inner != `<httpHeader X-Trace='1'/>` {
		t.Errorf("headers are %+v", h)
	}
	note, _ := p.Element("note")
	if text, plain := note.Text(); !plain || text != "a<b" {
		t.Errorf("note is %q, %v", text, plain)
	}
	if gone, ok := p.Element("gone"); !ok || gone.Outer != "<gone/>" || gone.Inner != "" {
		t.Errorf("empty element is %+v", gone)
	}
	if _, ok := p.Element("parameter"); ok {
		t.Error("a parameter is not another element")
	}
}

func TestParsePayloadTakesOtherRootsAndNothing(t *testing.T) {
	t.Parallel()
	if p := parse(t, `<request><parameter name="a" value="b"/></request>`); p.Root != "request" || len(p.Parameters) != 1 {
		t.Errorf("%+v", p)
	}
	for _, s := range []string{"", " \r\n\t", "\uFEFF"} {
		if d := cmp.Diff(ecc.Payload{}, parse(t, s)); d != "" {
			t.Errorf("%q: %s", s, d)
		}
	}
}

func TestSeeAttachment(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"<see_attachment/>": true, " <?xml version=\"1.0\"?>\n<see_attachment></see_attachment>\n": false, "\n<see_attachment />": true,
		"<?xml version=\"1.0\"?>\n<see_attachment></see_attachment>\n": true,
		"<parameters/>": false, "": false, "see_attachment": false,
		"<parameters><parameter name=\"x\" value=\"see_attachment\"/></parameters>": false,
	} {
		if got := ecc.SeeAttachment(s); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
		if p, err := ecc.ParsePayload(s); err == nil && p.SeeAttachment != want {
			t.Errorf("%q parses as %v", s, p.SeeAttachment)
		}
	}
}

// badPayloads are refused, each with an error that holds the text.
func badPayloads() map[string]string {
	return map[string]string{
		"whoami":                        "it is no XML",
		"<!-- only -->":                 "no element",
		"<parameters>":                  "not closed",
		"<a></b>":                       "closes <a>",
		"</a>":                          "closes nothing",
		"<a/><b/>":                      "second root",
		"<a/>text":                      "text behind",
		"<a><![CDATA[x</a>":             "CDATA",
		"<a/><![CDATA[x]]>":             "CDATA",
		"<a>]]></a>":                    "]]>",
		"<a b='1' b='2'/>":              "twice",
		"<a b=1/>":                      "no quoted value",
		"<a b/>":                        "malformed",
		"<a b='1'c='2'/>":               "malformed",
		"<a b='<'/>":                    "holds <",
		"<a>a & b</a>":                  "&amp;",
		"<a>&unknown;</a>":              "no reference",
		"<a b='&file;'/>":               "no reference",
		"<a>&#0;</a>":                   "no reference",
		"<a>&#xD800;</a>":               "no reference",
		"<a>&#x110000;</a>":             "no reference",
		"<a>&#x100000041;</a>":          "no reference",
		"<a>\x00</a>":                   "U+0000",
		"<a>\x1b[31m</a>":               "U+001B",
		"<a>\uFFFE</a>":                 "U+FFFE",
		"<a>\n\xE4</a>":                 "line 2 holds the byte 0xE4",
		"\xFF\xFE<\x00a\x00":            "UTF-16",
		"<?xml version='1.0'":           "declaration",
		"<a><?xml version='1.0'?></a>":  "XML declaration",
		"<a><!-- -- --></a>":            "comment",
		"< a/>":                         "without a name",
		"<a><parameter value='x'/></a>": "no name",
		"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>": "document type",
		"<a><!ELEMENT b ANY></a>":                                "document type",
		strings.Repeat("<a>", 257) + strings.Repeat("</a>", 257): "deeper",
	}
}

func TestParsePayloadRefusesWithReason(t *testing.T) {
	t.Parallel()
	for s, want := range badPayloads() {
		_, err := ecc.ParsePayload(s)
		if err == nil {
			t.Errorf("%.60q was taken", s)
			continue
		}
		if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v (want %q)", s, err, want)
		}
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	_, err := ecc.ParsePayload("<a>\n\n  <b>&x;</b></a>")
	if err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Error(err)
	}
}

func TestEffectivePayloadOverridesRecord(t *testing.T) {
	t.Parallel()
	m := fullMessage()
	m.Source = ""
	p := parse(t, `<p><parameter name="name" value="long command"/><parameter name="x" value="1"/><parameter name="x" value="2"/><parameter name="X" value="3"/></p>`)
	e := ecc.Effective(m, p)
	for name, want := range map[string]string{
		"name": "long command", "x": "2", "X": "3", "topic": "Command", "agent_correlator": "corr-7", "ecc_queue": sysID, "sys_id": sysID, "priority": "1",
		"sys_created_on": "2023-03-05 16:01:54",
	} {
		if got, ok := e.Get(name); !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"source", "payload", "u_own"} {
		if v, ok := e.Get(name); ok {
			t.Errorf("%s is %q, want nothing", name, v)
		}
	}
	seen := map[string]string{}
	for name, value := range e.All() {
		if _, twice := seen[name]; twice {
			t.Errorf("%s comes twice", name)
		}
		seen[name] = value
	}
	if len(seen) != e.Len() || seen["x"] != "2" {
		t.Errorf("all are %v", seen)
	}
}
