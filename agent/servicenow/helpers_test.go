package servicenow_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

func secret(s string) servicenow.SecretFunc { return func() (string, error) { return s, nil } }

// config is one that works against a server on loopback.
func config(address string) servicenow.Config {
	return servicenow.Config{
		URL: address, Basic: &servicenow.Basic{Username: "agent", Password: secret("pa55")},
		Retries: -1, Proxy: servicenow.Proxy{URL: "direct"},
	}
}

func newClient(tb testing.TB, conf servicenow.Config) *servicenow.Client {
	tb.Helper()
	c, err := servicenow.New(conf)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// serve starts a server and returns a client of it.
func serve(tb testing.TB, h http.HandlerFunc, change ...func(*servicenow.Config)) *servicenow.Client {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	conf := config(srv.URL)
	for _, f := range change {
		f(&conf)
	}
	return newClient(tb, conf)
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// batchRequest is a batch as an instance reads it.
type batchRequest struct {
	ID    string `json:"batch_request_id"`
	Items []struct {
		ID     string `json:"id"`
		Method string `json:"method"`
		URL    string `json:"url"`
		Body   string `json:"body"`
	} `json:"rest_requests"`
}

func readBatch(tb testing.TB, r *http.Request) batchRequest {
	tb.Helper()
	var b batchRequest
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		tb.Errorf("batch is no JSON: %v", err)
	}
	return b
}

func serviced(id string, status int, body string) map[string]any {
	return map[string]any{
		"id": id, "status_code": status, "status_text": "x", "headers": []any{}, "execution_time": 1,
		"body": base64.StdEncoding.EncodeToString([]byte(body)),
	}
}

func rows(n int, f func(i int) map[string]any) string {
	list := make([]map[string]any, n)
	for i := range list {
		list[i] = f(i)
	}
	return jsonText(map[string]any{"result": list})
}

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
