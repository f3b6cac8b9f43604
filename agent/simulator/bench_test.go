package simulator_test

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func backlog(b *testing.B, n int) (*site, []string) {
	b.Helper()
	s := newSite(b, simulator.Options{KeepPayloads: 1000})
	outs := make([]simulator.Output, n)
	for i := range outs {
		outs[i] = simulator.Output{Agent: edge, Topic: "Command", Name: "true", Payload: `<parameters><parameter name="skip_sensor" value="true"/></parameters>`}
	}
	return s, s.PutOutputs(outs)
}

const pollFields = "sys_id,agent,topic,name,source,payload,priority,sequence,state,queue,agent_correlator,sys_mod_count,sys_created_on"

func pollPath() string {
	return table + "ecc_queue?sysparm_no_count=true&sysparm_limit=500&sysparm_exclude_reference_link=true&sysparm_fields=" + pollFields +
		"&sysparm_query=" + url.QueryEscape("agent="+edge+"^queue=output^state=ready^ORDERBYpriority^ORDERBYsequence")
}

// BenchmarkPoll reads pages of 500 outputs from a backlog of a million.
func BenchmarkPoll(b *testing.B) {
	s, _ := backlog(b, 1_000_000)
	path := pollPath()
	for b.Loop() {
		if a := s.do(b, "GET", path, ""); a.code != 200 {
			b.Fatal(a.body)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "outputs/s")
}

// BenchmarkLoop is the work of an agent over a loopback socket: read a page of
// 500, claim it, answer it with five batches.
func BenchmarkLoop(b *testing.B) {
	s, _ := backlog(b, 0)
	srv := httptest.NewServer(s)
	defer srv.Close()
	s.client = srv.Client()
	s.origin = srv.URL
	outs := make([]simulator.Output, 500)
	for i := range outs {
		outs[i] = simulator.Output{Agent: edge, Topic: "Command", Name: "true"}
	}
	for b.Loop() {
		b.StopTimer()
		s.PutOutputs(outs)
		b.StartTimer()
		rows := s.do(b, "GET", pollPath(), "").rows(b)
		ids := make([]string, len(rows))
		for i, r := range rows {
			ids[i], _ = r["sys_id"].(string)
		}
		s.do(b, "POST", table+"ecc_queue?sysparm_fields=sys_id", jsonOf(b, map[string]string{
			"agent": edge, "queue": "input", "state": "ready", "topic": "queue.processing", "payload": claimPayload("processing", ids...),
		}))
		for part := range slices.Chunk(ids, 100) {
			if a := s.do(b, "POST", "/api/now/v1/batch", results(b, part)); a.code != 200 {
				b.Fatal(a.body)
			}
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "jobs/s")
}

func results(tb testing.TB, ids []string) string {
	tb.Helper()
	var items []any
	for _, id := range ids {
		items = append(items, item(tb, id, "POST", table+"ecc_queue?sysparm_fields=sys_id", jsonOf(tb, map[string]string{
			"agent": edge, "queue": "input", "state": "ready", "topic": "Command", "response_to": id, "payload": goodResult,
		})))
	}
	return jsonOf(tb, map[string]any{"batch_request_id": "1", "rest_requests": items})
}

// BenchmarkClaim claims 500 outputs with one queue.processing input.
func BenchmarkClaim(b *testing.B) {
	s, ids := backlog(b, 500)
	body := jsonOf(b, map[string]string{"agent": edge, "queue": "input", "state": "ready", "topic": "queue.processing", "payload": claimPayload("processing", ids...)})
	for b.Loop() {
		b.StopTimer()
		for _, id := range ids {
			s.RunAgain(id)
		}
		b.StartTimer()
		if a := s.do(b, "POST", table+"ecc_queue?sysparm_fields=sys_id", body); a.code != 201 {
			b.Fatal(a.body)
		}
	}
	b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "outputs/s")
}

// BenchmarkBatch inserts 100 results with one batch.
func BenchmarkBatch(b *testing.B) {
	s, ids := backlog(b, 100)
	body := results(b, ids)
	for b.Loop() {
		if a := s.do(b, "POST", "/api/now/v1/batch", body); a.code != 200 {
			b.Fatal(a.body)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "inputs/s")
}
