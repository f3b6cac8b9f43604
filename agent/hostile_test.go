package agent_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// withoutQuery is an instance that drops the whole filter of some reads.
func withoutQuery(next http.RoundTripper, drop func(query string) bool) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		q := r.URL.Query()
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/ecc_queue") && drop(q.Get("sysparm_query")) {
			q.Del("sysparm_query")
			r = r.Clone(r.Context())
			r.URL.RawQuery = q.Encode()
		}
		return next.RoundTrip(r)
	})
}

// TestDroppedFilter: an instance drops query terms that it does not understand.
// A job for another agent is never taken, and a record that the answer to a
// dropped filter does not show is not given up.
func TestDroppedFilter(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]func(string) bool{
		"everywhere": func(string) bool { return true },
		"ready":      func(q string) bool { return strings.Contains(q, "state=ready") },
		"processing": func(q string) bool { return strings.Contains(q, "state=processing") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{Agents: []string{"edge1", "other"}}, "")
			s.appending("")
			s.tuning.Transport = withoutQuery(s.tuning.Transport, drop)
			foreign := s.put(simulator.Output{Agent: "mid.server.other", Topic: "Sallyport", Name: "diag.append", Payload: payload("params", "{}")})
			busy := s.put(simulator.Output{Agent: "mid.server.other", Topic: "Sallyport", Name: "diag.append", Payload: payload("params", "{}")})
			if err := s.inst.Update("ecc_queue", busy, simulator.Record{"state": "processing"}); err != nil {
				t.Fatal(err)
			}
			mine := s.native("diag.append", "{}")
			a := s.start()
			if name == "everywhere" {
				s.polls(20) // nothing can be confirmed, so that nothing runs
				if list := s.jobs(a); len(list) != 1 || list[0].ID != "prod/"+mine || list[0].State != "received" {
					t.Errorf("jobs %+v", list)
				}
				if st := a.Status(t.Context()); len(st.Problems) == 0 || st.Instances[0].Error == "" {
					t.Errorf("status does not say what is wrong: %+v", st)
				}
			} else if r := s.report(mine); r.result() != "succeeded" {
				t.Errorf("%s", r.row["payload"])
			}
			s.polls(3)
			s.none(foreign)
			s.none(busy)
			if got := s.inst.Record("ecc_queue", foreign)["state"]; got != "ready" {
				t.Errorf("the other agent's job is %s", got)
			}
			for _, ran := range s.ran() {
				if ran != "prod/"+mine {
					t.Errorf("ran %s", ran)
				}
			}
		})
	}
}

// TestClaimByUpdate: where a queue.processing input has no effect, outputs are
// claimed by updating them; until a claim is confirmed nothing runs.
func TestClaimByUpdate(t *testing.T) {
	t.Parallel()
	for name, acl := range map[string][]string{"allowed": {"mid_server"}, "refused": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{ACL: map[string]simulator.ACL{"ecc_queue": {
				Read: []string{"mid_server"}, Insert: []string{"mid_server"}, Write: acl,
			}}}, "")
			s.appending("")
			next := s.tuning.Transport
			s.tuning.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				body := bodyOf(r)
				return next.RoundTrip(withBody(r, strings.ReplaceAll(body, `"queue.processing"`, `"queue.ineffective"`)))
			})
			id := s.native("diag.append", "{}")
			a := s.start()
			if name == "refused" {
				s.polls(20)
				s.none(id)
				if ran := s.ran(); len(ran) != 0 {
					t.Errorf("ran %v without a claim", ran)
				}
				if st := a.Status(t.Context()); st.Instances[0].Error == "" || st.Instances[0].Hint == "" {
					t.Errorf("status does not say what is wrong: %+v", st.Instances[0])
				}
				return
			}
			if r := s.report(id); r.result() != "succeeded" {
				t.Errorf("%s", r.row["payload"])
			}
		})
	}
}
