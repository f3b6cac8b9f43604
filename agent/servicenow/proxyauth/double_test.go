package proxyauth_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
)

// double is a proxy whose login is a function of the connection and the
// Proxy-Authorization header: it returns the Proxy-Authenticate headers of a 407,
// or nothing when the login is done.
type double struct {
	t     *testing.T
	login func() func(header string) (challenges []string)
	// ends closes the connection with the first 407, as HTTP/1.0 proxies do.
	ends bool

	mu    sync.Mutex
	conns int
}

func (d *double) start() *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns++
			d.mu.Unlock()
			wg.Go(func() { defer c.Close(); d.serve(c) })
		}
	})
	d.t.Cleanup(func() { l.Close(); wg.Wait() })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

func (d *double) serve(c net.Conn) {
	login := d.login()
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if req.Method != http.MethodConnect {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		challenges := login(req.Header.Get("Proxy-Authorization"))
		if challenges != nil {
			head := "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 6\r\n"
			for _, ch := range challenges {
				head += "Proxy-Authenticate: " + ch + "\r\n"
			}
			first := req.Header.Get("Proxy-Authorization") == ""
			if d.ends && first {
				head += "Connection: close\r\n"
			}
			_, _ = io.WriteString(c, head+"\r\ndenied")
			if d.ends && first {
				return
			}
			continue
		}
		if req.Method != http.MethodConnect {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			return
		}
		d.tunnel(c, br, req.Host)
		return
	}
}

func (d *double) tunnel(c net.Conn, br *bufio.Reader, host string) {
	up, err := net.Dial("tcp", host)
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer up.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	done := make(chan struct{})
	go func() { _, _ = io.Copy(up, br); up.(*net.TCPConn).CloseWrite(); close(done) }()
	_, _ = io.Copy(c, up)
	c.Close()
	<-done
}

// greeter is a target that speaks first.
func greeter(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "hello from the target")
			c.Close()
		}
	}()
	return l.Addr().String()
}

func dialer(proxy *url.URL, login proxyauth.Login) *proxyauth.Dialer {
	return &proxyauth.Dialer{
		Proxy: func(*url.URL) (*url.URL, error) { return proxy, nil },
		Login: login, Timeout: 20 * time.Second,
	}
}

// through dials a greeter through the proxy and returns what it says.
func through(t *testing.T, d *proxyauth.Dialer) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", greeter(t))
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

func password(s string) func() (string, error) { return func() (string, error) { return s, nil } }

// webTarget is a plain web server, for requests in absolute form.
func webTarget(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "got "+string(b))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func post(t *testing.T, d *proxyauth.Dialer, address string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
