package servicenow_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

// canned answers from memory, so that the benchmarks measure the client alone.
func canned(b *testing.B, f func(*http.Request) string) *sn.Client {
	b.Helper()
	conf := config("https://example.service-now.com")
	conf.Transport = inMemory(func(r *http.Request) (int, http.Header, string) { return 200, nil, f(r) })
	return newClient(b, conf)
}

func BenchmarkList500(b *testing.B) {
	body := rows(500, func(i int) map[string]any {
		return map[string]any{
			"sys_id": fmt.Sprintf("%032x", i), "agent": "mid.server.edge1", "topic": "Command", "name": "/opt/tools/report.sh",
			"source": "", "queue": "output", "state": "ready", "priority": "2", "sequence": fmt.Sprintf("19ab%014x", i),
			"sys_mod_count": "0", "agent_correlator": "", "response_to": "", "sys_created_on": "2026-11-23 07:30:00",
			"payload": strings.Repeat(`<parameter name="a" value="b"/>`, 10),
		}
	})
	c := canned(b, func(*http.Request) string { return body })
	q := sn.Query{Where: []sn.Condition{sn.Eq("agent", "mid.server.edge1"), sn.Eq("queue", "output"), sn.Eq("state", "ready")}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		page, err := c.List(b.Context(), "ecc_queue", q)
		if err != nil || len(page.Records) != 500 {
			b.Fatal(len(page.Records), err)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkBatch100(b *testing.B) {
	payload := strings.Repeat(`<result command="true"><stdout>ok</stdout></result>`, 20)
	var list []string
	for i := range 100 {
		list = append(list, jsonText(serviced(fmt.Sprint(i), 201, `{"result":{"sys_id":"0123456789abcdef0123456789abcdef"}}`)))
	}
	body := `{"serviced_requests":[` + strings.Join(list, ",") + `],"unserviced_requests":[]}`
	c := canned(b, func(r *http.Request) string {
		_, _ = io.Copy(io.Discard, r.Body)
		return body
	})
	b.ReportAllocs()
	for b.Loop() {
		reqs := make([]sn.Request, 100)
		for i := range reqs {
			reqs[i] = sn.InsertRequest("ecc_queue", sn.Record{
				"agent": "mid.server.edge1", "topic": "Command", "name": "true", "source": "", "queue": "input", "state": "ready",
				"response_to": "0123456789abcdef0123456789abcdef", "agent_correlator": "", "payload": payload,
			})
		}
		out, err := c.Batch(b.Context(), reqs)
		if err != nil || out[99].Err != nil {
			b.Fatal(err, out[99].Err)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "inserts/s")
}
