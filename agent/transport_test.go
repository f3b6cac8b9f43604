package agent_test

import (
	"io"
	"net/http"
	"strings"
)

// bodyOf reads a request's body and puts it back.
func bodyOf(r *http.Request) string {
	if r.Body == nil {
		return ""
	}
	data, _ := io.ReadAll(r.Body)
	_ = r.Body.Close()
	r.Body = io.NopCloser(strings.NewReader(string(data)))
	return string(data)
}

// withBody is a request with another body.
func withBody(r *http.Request, body string) *http.Request {
	if r.Body == nil {
		return r
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return r
}
