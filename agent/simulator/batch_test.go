package simulator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func item(tb testing.TB, id, method, path, body string) map[string]any {
	tb.Helper()
	return map[string]any{
		"id": id, "method": method, "url": path, "body": base64.StdEncoding.EncodeToString([]byte(body)), "exclude_response_headers": true,
		"headers": []map[string]string{{"name": "Accept", "value": "application/json"}, {"name": "Content-Type", "value": "application/json"}},
	}
}

type served struct {
	ID      string `json:"id"`
	Body    []byte `json:"body"`
	Code    int    `json:"status_code"`
	Text    string `json:"status_text"`
	Message string `json:"error_message"`
	Time    int    `json:"execution_time"`
}

type batchReply struct {
	ID         string   `json:"batch_request_id"`
	Serviced   []served `json:"serviced_requests"`
	Unserviced []string `json:"unserviced_requests"`
}

func (s *site) batch(tb testing.TB, items ...any) batchReply {
	tb.Helper()
	a := s.do(tb, "POST", "/api/now/v1/batch", jsonOf(tb, map[string]any{"batch_request_id": "77", "rest_requests": items}))
	var out batchReply
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.code != 200 || out.ID != "77" {
		tb.Fatalf("%d %s: %v", a.code, a.body, err)
	}
	return out
}

func TestBatchRunsItemsInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id := s.PutOutput(simulator.Output{Agent: edge})
	out := s.batch(t,
		item(t, "a", "POST", table+"ecc_queue", jsonOf(t, map[string]string{"queue": "input", "state": "ready", "response_to": id, "payload": goodResult})),
		item(t, "b", "GET", table+"ecc_queue?sysparm_query=response_to="+id, ""),
		item(t, "c", "GET", table+"nonsense", ""),
		item(t, "d", "GET", "https://elsewhere.test/api/now/table/ecc_queue", ""),
		item(t, "e", "POST", "/api/now/v1/batch", "{}"),
	)
	var codes []string
	for _, r := range out.Serviced {
		codes = append(codes, fmt.Sprint(r.ID, r.Code))
	}
	if diff := cmp.Diff([]string{"a201", "b200", "c400", "d400", "e400"}, codes); diff != "" {
		t.Error(diff)
	}
	if !bytes.Contains(out.Serviced[1].Body, []byte(id)) {
		t.Errorf("the second item does not see the first: %s", out.Serviced[1].Body)
	}
	want(t, s.Record("ecc_queue", id), "state", "processed")
}

func TestBatchLimits(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id := s.PutOutput(simulator.Output{Payload: strings.Repeat("x", 2<<20)})
	s.header.Set("X-BATCHREQUEST-MAX-OUTPUT-SIZE", "1")
	out := s.batch(t, item(t, "big", "POST", table+"ecc_queue", jsonOf(t, map[string]string{"payload": strings.Repeat("x", 5<<20)})), item(t, "read", "GET", table+"ecc_queue/"+id, ""))
	if out.Serviced[0].Code != 400 || out.Serviced[1].Code != 500 || out.Serviced[1].Message == "" {
		t.Errorf("%+v", out)
	}
	s.do(t, "POST", "/api/now/batch", `{"batch_request_id":"1","rest_requests":[]}`).fails(t, 400, "failure")
	refuse := newSite(t, simulator.Options{RefuseBatch: true})
	refuse.do(t, "POST", "/api/now/v1/batch", `{"batch_request_id":"1","rest_requests":[]}`).fails(t, 400, "Requested URI does not represent any resource")
}

func TestBatchQuotaLeavesItemsUnserviced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{})
		if _, err := s.Faults().Add(simulator.Fault{Table: "ecc_queue", Effect: simulator.Latency, Latency: 16 * time.Second}); err != nil {
			t.Fatal(err)
		}
		var items []any
		for i := range 4 {
			items = append(items, item(t, fmt.Sprint("i", i), "POST", table+"ecc_queue", `{}`))
		}
		out := s.batch(t, items...)
		if len(out.Serviced) != 2 || out.Serviced[0].Time != 16000 {
			t.Errorf("%+v", out.Serviced)
		}
		if diff := cmp.Diff([]string{"i2", "i3"}, out.Unserviced); diff != "" {
			t.Error(diff)
		}
		if n, _ := s.Count("ecc_queue", ""); n != 2 {
			t.Errorf("%d inserted", n)
		}
	})
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id := s.PutOutput(simulator.Output{Agent: edge})
	content := "line\x00\xff"
	s.header = http.Header{"Content-Type": {"text/plain"}}
	path := "/api/now/attachment/file?table_name=ecc_queue&file_name=payload.txt&table_sys_id="
	a := s.do(t, "POST", path+id, content)
	r := a.row(t)
	file, _ := r["sys_id"].(string)
	base := "https://dev.example.test/api/now/attachment/" + file
	if a.code != 201 || a.header.Get("Location") != base || r["download_link"] != base+"/file" || r["size_bytes"] != "6" {
		t.Errorf("%d %v %s", a.code, a.header, a.body)
	}
	s.do(t, "POST", path+strings.Repeat("0", 32), content).fails(t, 404, "No Record found")
	s.do(t, "POST", "/api/now/attachment/file?table_name=ecc_queue", content).fails(t, 400, "required")
	a = s.do(t, "GET", "/api/now/attachment/"+file+"/file", "")
	if a.body != content || a.header.Get("Content-Type") != "text/plain" || !strings.Contains(a.header.Get("X-Attachment-Metadata"), file) {
		t.Errorf("%q %v", a.body, a.header)
	}
	a = s.do(t, "GET", "/api/now/attachment?sysparm_query=table_sys_id="+id, "")
	if rows := a.rows(t); len(rows) != 1 || a.header.Get("X-Total-Count") != "1" {
		t.Errorf("%s", a.body)
	}
	if a = s.do(t, "PATCH", "/api/now/attachment/"+file, `{"file_name":"new.txt"}`); a.code != 204 || s.Attachments(id)[0].FileName != "new.txt" {
		t.Errorf("rename: %d %s", a.code, a.body)
	}
	s.as("itil").do(t, "GET", "/api/now/attachment/"+file+"/file", "").fails(t, 404, "No Record found")
	if a = s.do(t, "DELETE", "/api/now/attachment/"+file, ""); a.code != 204 || len(s.Attachments(id)) != 0 {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestAttachmentUpload(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id := s.PutOutput(simulator.Output{Agent: edge})
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("table_name", "ecc_queue")
	_ = w.WriteField("table_sys_id", id)
	part, _ := w.CreateFormFile("uploadFile", "a.bin")
	_, _ = part.Write([]byte("data"))
	w.Close()
	s.header = http.Header{"Content-Type": {w.FormDataContentType()}}
	if a := s.do(t, "POST", "/api/now/attachment/upload", b.String()); a.code != 201 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	got := s.Attachments(id)
	if len(got) != 1 || got[0].FileName != "a.bin" || string(got[0].Content) != "data" {
		t.Errorf("%+v", got)
	}
	s.Delete("ecc_queue", id)
	if n, _ := s.Count("sys_attachment", ""); n != 0 {
		t.Error("an attachment outlives its record")
	}
}
