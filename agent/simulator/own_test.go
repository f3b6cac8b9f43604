package simulator_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func TestScriptingFromAnotherProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}).as("admin")
	a := s.do(t, "POST", "/simulator/jobs", `[{"agent":"mid.server.edge1","topic":"Command","name":"echo {n}","count":3},{"agent":"a","topic":"b"}]`)
	var ids []string
	if err := json.Unmarshal([]byte(a.body), &ids); err != nil || len(ids) != 4 {
		t.Fatal(a.body, err)
	}
	want(t, s.Record("ecc_queue", ids[2]), "name", "echo 3", "state", "ready", "queue", "output", "priority", "2")
	s.do(t, "GET", "/simulator/jobs", "").fails(t, 200, `{"outputs":{"ready":4},"inputs":0,"answered":0,"repeated":0,"unasked":0}`)
	s.do(t, "POST", "/simulator/faults", `[{"id":"x","effect":"semaphore"}]`).fails(t, 200, `["x"]`)
	s.as("mid").do(t, "GET", table+"ecc_queue", "").fails(t, 429, "Too Many")
	s.do(t, "GET", "/simulator/stats", "").fails(t, 200, `"GET /api/now/table/ecc_queue":1`)
	s.do(t, "DELETE", "/simulator/faults?id=x", "").fails(t, 200, `[]`)
	s.do(t, "POST", "/simulator/faults", `[{"effect":"melt"}]`).fails(t, 400, "melt")
	s.do(t, "POST", "/simulator/jobs", `[{"agent":"a","topic":"b","count":2000000}]`).fails(t, 400, "count")
	for _, path := range []string{"/simulator/jobs", "/simulator/faults", "/simulator/stats"} {
		if a := s.as("mid").do(t, "GET", path, ""); a.code != 401 {
			t.Errorf("%s for a user who is no admin: %d", path, a.code)
		}
	}
	s.header = http.Header{"Content-Type": {"text/plain"}}
	s.do(t, "POST", "/simulator/faults", `[]`).fails(t, 415, "application/json")
}

func TestPageEscapesAndFilters(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Agents: []string{"<b>edge</b>"}}).as("")
	s.PutOutput(simulator.Output{Agent: edge, Topic: "<script>alert(1)</script>", Payload: strings.Repeat("long", 100)})
	s.PutOutput(simulator.Output{Agent: edge, Topic: "other"})
	a := s.do(t, "GET", `/?table=ecc_queue&q=topicLIKEscript%22%3E%3Ci%3E`, "")
	if a.code != 200 || strings.Contains(a.body, "<i>") || strings.Contains(a.body, "<b>edge") || !strings.Contains(a.body, "No record.") {
		t.Errorf("%s", a.body)
	}
	a = s.do(t, "GET", `/?table=ecc_queue&q=topicLIKEscript%5Ebogus%3D1`, "")
	if strings.Contains(a.body, "<script>alert") || !strings.Contains(a.body, "&lt;script&gt;alert(1)") || strings.Contains(a.body, "<td>other</td>") {
		t.Errorf("%s", a.body)
	}
	if !strings.Contains(a.body, "bogus=1") || !strings.Contains(a.body, "ignored") || strings.Contains(a.body, strings.Repeat("long", 60)) {
		t.Errorf("dropped terms and long values: %s", a.body)
	}
	if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	for _, path := range []string{"/simulator/page.css", "/simulator/page.js", "/?table=incident", "/?table=none", "/?table=task&q=ORDERBYnumber"} {
		if a := s.do(t, "GET", path, ""); a.code != 200 {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

func TestPageIsForThisHostOrAdmins(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	for _, tc := range []struct {
		from, host, user string
		code             int
	}{
		{"127.0.0.1:5000", "127.0.0.1:8443", "", 200},
		{"[::1]:5000", "localhost:8443", "", 200},
		{"127.0.0.1:5000", "evil.example:8443", "", 401},
		{"10.0.0.7:5000", "127.0.0.1:8443", "", 401},
		{"10.0.0.7:5000", "sim.example", "mid", 401},
		{"10.0.0.7:5000", "sim.example", "admin", 200},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr, r.Host = tc.from, tc.host
		if tc.user != "" {
			r.SetBasicAuth(tc.user, tc.user)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != tc.code {
			t.Errorf("%+v: %d", tc, w.Code)
		}
	}
}

func TestPageEventsOverTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	cert, pem, err := s.Certificate("127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}))
	}()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	resp, err := client.Get("https://" + l.Addr().String() + "/simulator/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "data: 1" {
		t.Fatalf("%q %v", lines.Text(), lines.Err())
	}
	s.PutOutput(simulator.Output{Agent: edge})
	lines.Scan()
	if !lines.Scan() || lines.Text() != "data: 2" {
		t.Errorf("%q %v", lines.Text(), lines.Err())
	}
	s.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	var hooked []string
	s := newSite(t, simulator.Options{OnEvent: func(e simulator.Event) { hooked = append(hooked, e.Op.String()+" "+e.Table) }})
	events, cancel := s.Subscribe(2)
	id := s.PutOutput(simulator.Output{Agent: edge})
	s.Cancel(id)
	s.Delete("ecc_queue", id)
	first, second := <-events, <-events
	if first.Op != simulator.Insert || first.SysID != id || second.Seq != first.Seq+1 || strings.Join(second.Changed, " ") != "state" {
		t.Errorf("%+v %+v", first, second)
	}
	cancel()
	if _, open := <-events; open {
		t.Error("open after cancel")
	}
	if got := strings.Join(hooked, ", "); got != "insert ecc_queue, update ecc_queue, delete ecc_queue" {
		t.Error(got)
	}
	if n := s.Stats().EventsDropped; n != 1 {
		t.Errorf("%d dropped", n)
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{})
		time.AfterFunc(time.Second, func() { s.PutOutputs(make([]simulator.Output, 2)) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Await(ctx, "ecc_queue", "queue=output", 2); err != nil {
			t.Error(err)
		}
		if err := s.Await(ctx, "ecc_queue", "queue=output", 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := s.Await(ctx, "none", "", 1); err == nil {
			t.Error("no error for an unknown table")
		}
	})
}

func TestCompression(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.PutOutput(simulator.Output{Agent: edge, Payload: strings.Repeat("x", 100_000)})
	srv := httptest.NewServer(s)
	defer srv.Close()
	s.origin = srv.URL
	req := s.request(t, "GET", table+"ecc_queue", "")
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !resp.Uncompressed || len(b) < 100_000 {
		t.Errorf("%d bytes, compressed %v, %v", len(b), resp.Uncompressed, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]simulator.Options{
		"two users of one name": {Users: []simulator.User{{Name: "a"}, {Name: "a"}}},
		"time zone":             {Users: []simulator.User{{Name: "a", TimeZone: "Mars/Olympus"}}},
		"oauth user":            {OAuthClients: []simulator.OAuthClient{{ID: "a", Secret: "b", User: "c"}}},
		"acl of no table":       {ACL: map[string]simulator.ACL{"none": {}}},
		"extends no table":      {Tables: []simulator.Table{{Name: "a", Extends: "none"}}},
		"policy of no column":   {Tables: []simulator.Table{{Name: "a", Policies: []simulator.Policy{{Mandatory: []string{"x"}}}}}},
	} {
		if _, err := simulator.New(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestOwnTable(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Tables: []simulator.Table{{
		Name: "u_asset", Display: "u_tag", ACL: simulator.ACL{Read: []string{"*"}, Insert: []string{"*"}},
		Columns: []simulator.Column{{Name: "u_tag", Max: 3}, {Name: "u_owner", Kind: simulator.Reference, Ref: "sys_user"}},
	}}})
	r := s.do(t, "POST", table+"u_asset", `{"u_tag":"abcdef","u_owner":{"value":"x","link":"y"}}`).row(t)
	if owner, _ := r["u_owner"].(map[string]any); r["u_tag"] != "abc" || owner["value"] != "x" {
		t.Errorf("%v", r)
	}
}
