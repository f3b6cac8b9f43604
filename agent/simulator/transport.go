package simulator

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
)

// Transport returns a round tripper that calls the instance in memory, without
// a socket, so that it works in a testing/synctest bubble. Any host in the URL
// reaches it. A connection that a fault cuts before the first byte of the answer
// is a *net.OpError holding ECONNRESET; one that is cut in the body makes the
// body end in io.ErrUnexpectedEOF. When the context of a request ends, RoundTrip
// returns, and the instance goes on with the request as a real one would.
func (in *Instance) Transport() http.RoundTripper { return transport{in} }

type transport struct{ in *Instance }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		closeBody(req)
		return nil, err
	}
	inner, err := incoming(req)
	if err != nil {
		return nil, err
	}
	w := &memoryWriter{header: http.Header{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(t.in, inner)
	}()
	select {
	case <-done:
		return w.response(req)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.in.done:
		return nil, reset()
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // only read from
	}
}

// incoming is the request as a server sees it, detached from the client's context.
func incoming(req *http.Request) (*http.Request, error) {
	var body []byte
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		closeBody(req)
		if err != nil {
			return nil, fmt.Errorf("read request body: %w", err)
		}
		body = b
	}
	in := &http.Request{
		Method: req.Method, URL: req.URL, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: req.Header.Clone(),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Host: req.Host, RequestURI: req.URL.RequestURI(),
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	return in, nil
}

func reset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

// memoryWriter is the http.ResponseWriter of one in-memory request.
type memoryWriter struct {
	header http.Header
	code   int
	body   bytes.Buffer
	cut    bool
	broken any // a panic that was no cut
}

// Header implements http.ResponseWriter.
func (w *memoryWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *memoryWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
}

// Write implements http.ResponseWriter.
func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *memoryWriter) run(h http.Handler, r *http.Request) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			w.cut = true
		default:
			w.broken = p
		}
	}()
	h.ServeHTTP(w, r)
}

func (w *memoryWriter) response(req *http.Request) (*http.Response, error) {
	if w.broken != nil {
		return nil, fmt.Errorf("simulator: panic: %v", w.broken)
	}
	if w.cut && w.code == 0 {
		return nil, reset()
	}
	w.WriteHeader(http.StatusOK)
	var body io.Reader = &w.body
	length := int64(w.body.Len())
	if w.cut {
		body = io.MultiReader(&w.body, cutReader{})
	}
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status: strconv.Itoa(w.code) + " " + http.StatusText(w.code), StatusCode: w.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(body), ContentLength: length, Request: req,
	}, nil
}

// cutReader is the end of a connection that was cut.
type cutReader struct{}

// Read always fails as a body does that is shorter than its Content-Length.
func (cutReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
