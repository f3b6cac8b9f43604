package simulator_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func (s *site) fault(tb testing.TB, rules ...simulator.Fault) {
	tb.Helper()
	if _, err := s.Faults().Add(rules...); err != nil {
		tb.Fatal(err)
	}
}

// What every effect gives the client, and whether the insert happened.
func TestEffects(t *testing.T) {
	t.Parallel()
	for effect, tc := range map[simulator.Effect]struct {
		code    int
		text    string
		inserts int
	}{
		simulator.Latency:         {201, "result", 1},
		simulator.FailBefore:      {500, "Exception while executing request", 0},
		simulator.FailAfter:       {500, "Exception while executing request", 1},
		simulator.Unauthorized:    {401, "User Not Authenticated", 0},
		simulator.RateLimit:       {429, "Rate limit exceeded", 0},
		simulator.Semaphore:       {429, "<html>", 0},
		simulator.Unavailable:     {503, "<html>", 0},
		simulator.TooLarge:        {413, "<html>", 0},
		simulator.BadRequest:      {400, "failure", 0},
		simulator.AcceptedDropped: {202, "", 0},
		simulator.AcceptedDone:    {202, "", 1},
		simulator.Hibernate:       {200, "Instance Hibernating page", 0},
		simulator.LoginRedirect:   {302, "", 0},
		simulator.LoginPage:       {200, "user_password", 0},
		simulator.MaxExecution:    {200, `"status":"failure"`, 1},
	} {
		t.Run(string(effect), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{})
			s.fault(t, simulator.Fault{Effect: effect})
			a := s.do(t, "POST", table+"ecc_queue", `{"topic":"x"}`)
			n, _ := s.Count("ecc_queue", "topic=x")
			if a.code != tc.code || !strings.Contains(a.body, tc.text) || n != tc.inserts {
				t.Errorf("%d %s, %d inserts; want %+v", a.code, a.body, n, tc)
			}
		})
	}
}

func TestRateLimitHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Now: func() time.Time { return noon }})
	s.fault(t, simulator.Fault{Effect: simulator.RateLimit, RetryAfter: 30})
	h := s.do(t, "GET", table+"ecc_queue", "").header
	if h.Get("Retry-After") != "30" || h.Get("X-RateLimit-Reset") != "1795451430" || h.Get("X-RateLimit-Remaining") != "" {
		t.Errorf("%v", h)
	}
}

func TestCutsInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{})
		count := func() int {
			n, _ := s.Count("ecc_queue", "topic=x")
			return n
		}
		for _, tc := range []struct {
			effect    simulator.Effect
			now, soon int
		}{{simulator.CutBefore, 0, 0}, {simulator.CutAfter, 1, 1}, {simulator.CutLate, 1, 2}} {
			s.Faults().Clear()
			s.fault(t, simulator.Fault{Effect: tc.effect, Late: 40 * time.Second})
			_, err := s.try(t, "POST", table+"ecc_queue", `{"topic":"x"}`)
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: %v", tc.effect, err)
			}
			if n := count(); n != tc.now {
				t.Errorf("%s: %d inserts, want %d", tc.effect, n, tc.now)
			}
			pass(41 * time.Second)
			if n := count(); n != tc.soon {
				t.Errorf("%s: %d inserts in the end, want %d", tc.effect, n, tc.soon)
			}
		}
		s.Faults().Clear()
		s.fault(t, simulator.Fault{Effect: simulator.Truncate})
		a, err := s.try(t, "POST", table+"ecc_queue", `{"topic":"x"}`)
		if !errors.Is(err, io.ErrUnexpectedEOF) || a.code != 201 || a.body == "" || count() != 3 {
			t.Errorf("%d %q %v, %d inserts", a.code, a.body, err, count())
		}
	})
}

func TestCutsOverTheNetwork(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	srv := httptest.NewServer(s)
	defer srv.Close()
	s.client, s.origin = srv.Client(), srv.URL
	post := func() error {
		req := s.request(t, "POST", table+"ecc_queue", `{"topic":"x"}`)
		resp, err := s.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return err
	}
	for effect, inserts := range map[simulator.Effect]int{simulator.CutBefore: 0, simulator.CutAfter: 1, simulator.Truncate: 1} {
		before, _ := s.Count("ecc_queue", "topic=x")
		s.Faults().Clear()
		s.fault(t, simulator.Fault{Effect: effect, Method: "POST"})
		if err := post(); err == nil {
			t.Errorf("%s: no error", effect)
		}
		if n, _ := s.Count("ecc_queue", "topic=x"); n-before != inserts {
			t.Errorf("%s: %d inserts, want %d", effect, n-before, inserts)
		}
	}
}

// A client that gives up does not stop what the instance does.
func TestImpatientClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{})
		s.fault(t, simulator.Fault{Effect: simulator.Latency, Latency: time.Minute})
		s.client.Timeout = 10 * time.Second
		if _, err := s.try(t, "POST", table+"ecc_queue", `{"topic":"x"}`); err == nil {
			t.Fatal("no timeout")
		}
		if n, _ := s.Count("ecc_queue", "topic=x"); n != 0 {
			t.Error("inserted too early")
		}
		pass(time.Minute)
		if n, _ := s.Count("ecc_queue", "topic=x"); n != 1 {
			t.Error("the request ended with its client")
		}
	})
}

func TestFaultConditions(t *testing.T) {
	t.Parallel()
	fire := func(t *testing.T, f simulator.Fault, n int) string {
		t.Helper()
		s := newSite(t, simulator.Options{Seed: 3})
		f.Effect, f.ID = simulator.Semaphore, "f"
		s.fault(t, f)
		var b strings.Builder
		for range n {
			a := s.do(t, "POST", table+"ecc_queue", `{"topic":"Command","queue":"input","agent":"mid.server.edge1"}`)
			b.WriteByte(map[int]byte{201: '.', 429: 'X'}[a.code])
		}
		if got := strings.Count(b.String(), "X"); s.Faults().Fired("f") != got {
			t.Errorf("fired %d, counted %d", got, s.Faults().Fired("f"))
		}
		return b.String()
	}
	for _, tc := range []struct {
		rule simulator.Fault
		want string
	}{
		{simulator.Fault{}, "XXXX"},
		{simulator.Fault{Method: "get"}, "...."},
		{simulator.Fault{Method: "post", Table: "ecc_queue", Topic: "Command", Queue: "input", Agent: edge}, "XXXX"},
		{simulator.Fault{Table: "incident"}, "...."},
		{simulator.Fault{Topic: "queue.processing"}, "...."},
		{simulator.Fault{Path: "/api/now/table/*"}, "XXXX"},
		{simulator.Fault{Path: "/api/now/batch"}, "...."},
		{simulator.Fault{Skip: 2}, "..XX"},
		{simulator.Fault{Every: 2}, ".X.X"},
		{simulator.Fault{Skip: 1, Times: 1}, ".X.."},
	} {
		if got := fire(t, tc.rule, 4); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.rule, got, tc.want)
		}
	}
	first := fire(t, simulator.Fault{Probability: 0.5}, 64)
	if n := strings.Count(first, "X"); n < 16 || n > 48 || fire(t, simulator.Fault{Probability: 0.5}, 64) != first {
		t.Errorf("probability 0.5, seed 3: %s", first)
	}
}

func TestFaultsHitBatchItems(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.fault(t, simulator.Fault{Table: "ecc_queue", Topic: "bad", Effect: simulator.FailAfter})
	out := s.batch(t, item(t, "a", "POST", table+"ecc_queue", `{"topic":"good"}`), item(t, "b", "POST", table+"ecc_queue", `{"topic":"bad"}`))
	if out.Serviced[0].Code != 201 || out.Serviced[1].Code != 500 {
		t.Errorf("%+v", out)
	}
	if n, _ := s.Count("ecc_queue", "topicINgood,bad"); n != 2 {
		t.Errorf("%d inserts", n)
	}
	s.Faults().Clear()
	s.fault(t, simulator.Fault{Topic: "bad", Effect: simulator.CutBefore})
	body := jsonOf(t, map[string]any{"batch_request_id": "1", "rest_requests": []any{
		item(t, "a", "POST", table+"ecc_queue", `{"topic":"good"}`), item(t, "b", "POST", table+"ecc_queue", `{"topic":"bad"}`), item(t, "c", "POST", table+"ecc_queue", `{"topic":"good"}`),
	}})
	if _, err := s.try(t, "POST", "/api/now/v1/batch", body); err == nil {
		t.Error("the batch was not cut")
	}
	if n, _ := s.Count("ecc_queue", "topic=good"); n != 2 {
		t.Errorf("%d inserts, want that of the item before the cut", n)
	}
}

func TestCancelledQueryKeepsItsRows(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.PutOutput(simulator.Output{Agent: edge})
	s.fault(t, simulator.Fault{Effect: simulator.MaxExecution})
	a := s.do(t, "GET", table+"ecc_queue", "")
	var v struct {
		Result []any
		Error  struct{ Message string }
		Status string
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatal(err)
	}
	if a.code != 200 || len(v.Result) != 1 || !strings.Contains(v.Error.Message, "maximum execution time exceeded") || v.Status != "failure" {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestFaultFile(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	f := s.Faults()
	if err := f.Load([]byte(`[{"id":"slow","method":"POST","effect":"latency","latency":"250ms"},{"effect":"cut_late","late":"1m","probability":0.1}]`)); err != nil {
		t.Fatal(err)
	}
	got := f.List()
	if len(got) != 2 || got[0].Latency != 250*time.Millisecond || got[1].Late != time.Minute || got[1].ID == "" {
		t.Errorf("%+v", got)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	f.Clear()
	if err := f.Load(b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, f.List()); diff != "" {
		t.Error(diff)
	}
	if !f.Remove("slow") || f.Remove("slow") {
		t.Error("remove")
	}
	for _, bad := range []string{`[{"effect":"melt"}]`, `[{"effect":"latency","latncy":"1s"}]`, `[{"effect":"latency","latency":"1"}]`, `[{"effect":"latency","probability":2}]`, `[{"effect":"fail_before","status":200}]`, `[{"effect":"latency","path":"["}]`, `{`} {
		if f.Load([]byte(bad)) == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if len(f.List()) != 1 {
		t.Error("a refused file left rules behind")
	}
}

// An item of a batch that happens late is cut as well: nobody notices, and the
// instance goes on.
func TestACutInALateBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{})
		s.fault(t, simulator.Fault{Effect: simulator.CutLate, Late: time.Second, Path: "/api/now/v1/batch"}, simulator.Fault{Effect: simulator.CutAfter, Table: "ecc_queue"})
		body, err := json.Marshal(map[string]any{"batch_request_id": "1", "rest_requests": []map[string]any{{
			"id": "1", "method": "POST", "url": table + "ecc_queue", "body": []byte(`{"topic":"x"}`),
			"headers": []map[string]string{{"name": "Accept", "value": "application/json"}, {"name": "Content-Type", "value": "application/json"}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.try(t, "POST", "/api/now/v1/batch", string(body)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		pass(2 * time.Second)
		if n, err := s.Count("ecc_queue", "topic=x"); err != nil || n != 1 {
			t.Errorf("%d inserts, %v", n, err)
		}
	})
}
