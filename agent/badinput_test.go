package agent_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

const diagRule = "[[policy.rule]]\nname = 'diag'\nallow = ['diag.echo', 'diag.sleep', 'diag.fail', 'diag.wait']\n"

// TestBadInputIsAnswered puts records that nobody should write into the queue.
// Each is answered with the error form and a text that says what is wrong, and
// the work behind it goes on.
func TestBadInputIsAnswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		out  simulator.Output
		want string // in the error
	}{
		"payload is no XML":     {simulator.Output{Topic: "Command", Name: "/bin/true", Payload: "{\"json\": 1}"}, "payload"},
		"payload is cut":        {simulator.Output{Topic: "Command", Name: "/bin/true", Payload: "<parameters><parameter name='x'"}, "payload"},
		"payload with entities": {simulator.Output{Topic: "Command", Name: "/bin/true", Payload: `<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><parameters><parameter name="name" value="&x;"/></parameters>`}, ""},
		"20 MB of payload":      {simulator.Output{Topic: "Command", Name: "/bin/true", Payload: payload("name", "/bin/echo "+strings.Repeat("x", 20<<20))}, ""},
		"20 MB of no XML":       {simulator.Output{Topic: "Command", Name: "/bin/true", Payload: strings.Repeat("<<<<", 5<<20)}, "payload"},
		"unknown topic":         {simulator.Output{Topic: "HorizontalDiscoveryProbe", Name: "x", Payload: payload()}, "HorizontalDiscoveryProbe"},
		"unknown action":        {simulator.Output{Topic: "Sallyport", Name: "diag.nothing", Payload: payload("params", "{}")}, "diag.nothing"},
		"no topic":              {simulator.Output{Name: "/bin/true", Payload: payload()}, "topic"},
		"native without action": {simulator.Output{Topic: "Sallyport", Payload: payload("params", "{}")}, "action"},
		"params are no JSON":    {simulator.Output{Topic: "Sallyport", Name: "diag.echo", Payload: payload("params", "{")}, "params"},
		"params of wrong type":  {simulator.Output{Topic: "Sallyport", Name: "diag.echo", Payload: payload("params", `{"text": 5}`)}, "text"},
		"params are a list":     {simulator.Output{Topic: "Sallyport", Name: "diag.echo", Payload: payload("params", `[1]`)}, "params"},
		"params out of range":   {simulator.Output{Topic: "Sallyport", Name: "diag.sleep", Payload: payload("params", `{"seconds": -1}`)}, "seconds"},
		"command is empty":      {simulator.Output{Topic: "Command", Payload: payload()}, ""},
		"huge name":             {simulator.Output{Topic: "Command", Name: "x", Payload: payload("name", strings.Repeat("/bin/x ", 100_000))}, ""},
		"control characters":    {simulator.Output{Topic: "Command", Name: "/bin/\x1b[31mred\x07\x00", Source: "a\r\nb\x08", Payload: payload()}, ""},
		"no UTF-8":              {simulator.Output{Topic: "Command", Name: "/bin/\xff\xfe", Payload: "<parameters><parameter name=\"a\" value=\"\xff\"/></parameters>"}, ""},
		"absurd priority":       {simulator.Output{Topic: "Nothing", Priority: "-99999999999999999999", Payload: payload()}, "Nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{}, diagRule)
			s.start()
			id := s.put(c.out)
			row := s.answers(id, 1)[0]
			if err := xml.Unmarshal([]byte(row["payload"]), new(struct{})); err != nil {
				t.Fatalf("the report is no XML: %v", err)
			}
			r := read(t, row)
			if res := r.result(); res != "failed" && res != "denied" {
				t.Errorf("result %q", res)
			}
			if r.Code != "900000" || message(r) == "" || !strings.Contains(message(r), c.want) {
				t.Errorf("result_code %s, message %.500q, want %q in it", r.Code, message(r), c.want)
			}
			if strings.ContainsAny(row["payload"], "\x00\x07\x08\x1b") {
				t.Error("control characters reach the report")
			}
			if r := s.report(s.native("diag.echo", `{"text":"behind"}`)); r.result() != "succeeded" {
				t.Errorf("work behind it: %s", r.row["payload"])
			}
			if got := s.inst.Record("ecc_queue", id)["state"]; got != "processed" {
				t.Errorf("output is %s", got)
			}
		})
	}
}

// TestRecordsThatCannotBeAnswered: records without agent are nobody's work, and
// an answer that holds records without sys_id or of others takes nothing from
// the work beside them.
func TestRecordsThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	next := s.tuning.Transport
	s.tuning.Transport = edit(next, func(r *http.Request, body []byte) []byte {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.RawQuery, "state%3Dready") {
			return body
		}
		var page struct {
			Result []map[string]string `json:"result"`
		}
		if json.Unmarshal(body, &page) != nil {
			return body
		}
		page.Result = append([]map[string]string{
			{"sys_id": "", "agent": me, "queue": "output", "state": "ready", "topic": "Command", "name": "/bin/true"},
			{"agent": me, "queue": "output", "state": "ready", "topic": "Command"},
			{"sys_id": "../../../etc", "agent": me, "queue": "output", "state": "ready", "topic": "Command"},
			{"sys_id": "00000000000000000000000000000001", "queue": "output", "state": "ready", "topic": "Command"},
		}, page.Result...)
		body, err := json.Marshal(page)
		if err != nil {
			t.Error(err)
		}
		return body
	})
	nobody, err := s.inst.Insert("ecc_queue", simulator.Record{"queue": "output", "state": "ready", "topic": "Command", "name": "/bin/true", "payload": payload()})
	if err != nil {
		t.Fatal(err)
	}
	a := s.start()
	if r := s.report(s.native("diag.echo", `{"text":"beside"}`)); r.result() != "succeeded" {
		t.Errorf("%s", r.row["payload"])
	}
	s.polls(3)
	if got := s.inst.Record("ecc_queue", nobody)["state"]; got != "ready" {
		t.Errorf("a record without an agent is %s", got)
	}
	s.none(nobody)
	for _, j := range s.jobs(a) {
		if j.Topic != "Sallyport" {
			t.Errorf("job %+v", j)
		}
	}
}

// TestPayloadAttachment: a payload that the instance keeps as an attachment is
// fetched, also when it appears after the record.
func TestPayloadAttachment(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.start()
	id := s.put(simulator.Output{Topic: "Sallyport", Name: "diag.echo", Payload: "<see_attachment/>"})
	s.polls(2)
	s.none(id)
	s.attach(id, "payload.txt", payload("params", `{"text":"`+strings.Repeat("long ", 100_000)+`"}`))
	if r := s.report(id); r.result() != "succeeded" || !strings.Contains(r.Results[0].Output, "long long") {
		t.Errorf("%.500s", r.row["payload"])
	}
}

// edit changes the bodies of answers on their way.
func edit(next http.RoundTripper, change func(*http.Request, []byte) []byte) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Del("Accept-Encoding")
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		body = change(r, body)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		resp.Header.Del("Content-Length")
		return resp, nil
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
