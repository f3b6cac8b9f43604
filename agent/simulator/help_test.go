package simulator_test

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// site is an instance with a client in memory.
type site struct {
	*simulator.Instance
	client *http.Client
	user   string
	origin string // https://dev.example.test when empty
	header http.Header
}

// newSite starts an instance; requests are made as the user mid.
func newSite(tb testing.TB, opt simulator.Options) *site {
	tb.Helper()
	in, err := simulator.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(in.Close)
	return &site{
		Instance: in, user: "mid", header: http.Header{},
		client: &http.Client{
			Transport:     in.Transport(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (s *site) as(user string) *site {
	c := *s
	c.user = user
	return &c
}

// answer is a response read whole.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (s *site) request(tb testing.TB, method, path, body string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, cmp.Or(s.origin, "https://dev.example.test")+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	if s.user != "" {
		req.SetBasicAuth(s.user, s.user)
	}
	maps.Copy(req.Header, s.header)
	return req
}

// try makes a request and returns what a client gets.
func (s *site) try(tb testing.TB, method, path, body string) (answer, error) {
	tb.Helper()
	resp, err := s.client.Do(s.request(tb, method, path, body))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

func (s *site) do(tb testing.TB, method, path, body string) answer {
	tb.Helper()
	a, err := s.try(tb, method, path, body)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// rows decodes {"result":[...]}.
func (a answer) rows(tb testing.TB) []map[string]any {
	tb.Helper()
	var v struct{ Result []map[string]any }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		tb.Fatalf("status %d, body %q: %v", a.code, a.body, err)
	}
	return v.Result
}

// row decodes {"result":{...}}.
func (a answer) row(tb testing.TB) map[string]any {
	tb.Helper()
	var v struct{ Result map[string]any }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		tb.Fatalf("status %d, body %q: %v", a.code, a.body, err)
	}
	return v.Result
}

func (a answer) fails(tb testing.TB, code int, text string) {
	tb.Helper()
	if a.code != code || !strings.Contains(a.body, text) {
		tb.Fatalf("got status %d, body %s; want %d with %q", a.code, a.body, code, text)
	}
}

const table = "/api/now/table/"

func jsonOf(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// input posts a result as an agent does.
func (s *site) input(tb testing.TB, fields map[string]string) map[string]any {
	tb.Helper()
	if fields["queue"] == "" {
		fields["queue"], fields["state"] = "input", "ready"
	}
	a := s.do(tb, "POST", table+"ecc_queue", jsonOf(tb, fields))
	if a.code != http.StatusCreated {
		tb.Fatalf("insert: %d %s", a.code, a.body)
	}
	return a.row(tb)
}

const goodResult = `<results probe_time="1"><result/><parameters><parameter name="skip_sensor" value="true"/></parameters></results>`

func claimPayload(state string, ids ...string) string {
	var b strings.Builder
	b.WriteString("<queue.processing>")
	for _, id := range ids {
		b.WriteString(`<sys_id state="` + state + `">` + id + `</sys_id>`)
	}
	return b.String() + "</queue.processing>"
}

func want(tb testing.TB, r simulator.Record, pairs ...string) {
	tb.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if r[pairs[i]] != pairs[i+1] {
			tb.Errorf("%s is %q, want %q", pairs[i], r[pairs[i]], pairs[i+1])
		}
	}
}

// pass lets virtual time pass in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }
