package proxyauth

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Dialer reaches targets directly or through a proxy. Its fields must not change
// after the first use; its methods are safe for concurrent use.
type Dialer struct {
	// Proxy returns the proxy for a target, or nil for none. It is called with
	// https://host:port for tunnels. nil means no proxy at all.
	Proxy func(target *url.URL) (*url.URL, error)
	// Login is how to log in at the proxy.
	Login Login
	// TLS is the configuration towards proxies of scheme https. Its ServerName is
	// set here.
	TLS *tls.Config
	// Dial opens TCP connections; nil means a net.Dialer with Timeout.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Timeout bounds each of connecting and logging in; 0 means 15 seconds.
	Timeout time.Duration
	// UserAgent is sent to the proxy.
	UserAgent string
}

// maxHandshake bounds what a proxy may send before the tunnel stands.
const maxHandshake = 256 << 10

func (d *Dialer) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return 15 * time.Second
}

// DialContext connects to addr, through the proxy where there is one. All errors
// mean that no byte reached the target.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	target := &url.URL{Scheme: "https", Host: addr}
	proxy, err := d.choose(target)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return d.dial(ctx, network, addr)
	}
	x := &exchange{d: d, proxy: proxy, build: func() *http.Request {
		return &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: make(http.Header)}
	}}
	resp, err := x.run(ctx) //nolint:bodyclose // a tunnel has no body; a refusal closes the connection
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = x.conn.Close()
		return nil, refused(proxy, addr, resp)
	}
	return x.tunnel(), nil
}

// RoundTrip sends one request, in absolute form where a proxy is used. It is
// meant for small requests of scheme http; a body must have GetBody.
func (d *Dialer) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := d.choose(req.URL)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return d.direct(req)
	}
	var bodyErr error
	x := &exchange{d: d, proxy: proxy, build: func() *http.Request { //nolint:contextcheck // the request has its context
		r := req.Clone(req.Context())
		if req.GetBody != nil {
			r.Body, bodyErr = req.GetBody()
		}
		return r
	}}
	resp, err := x.run(req.Context())
	if err != nil {
		return nil, err
	}
	if bodyErr != nil {
		_ = x.conn.Close()
		return nil, bodyErr
	}
	resp.Body = &closeBoth{resp.Body, x.conn}
	return resp, nil
}

func (d *Dialer) direct(req *http.Request) (*http.Response, error) {
	t := &http.Transport{
		DialContext: d.dial, DisableKeepAlives: true,
		ResponseHeaderTimeout: d.timeout(), MaxResponseHeaderBytes: maxHandshake,
	}
	return t.RoundTrip(req)
}

type closeBoth struct {
	io.ReadCloser
	conn net.Conn
}

func (c *closeBoth) Close() error { return errors.Join(c.ReadCloser.Close(), c.conn.Close()) }

func (d *Dialer) choose(target *url.URL) (*url.URL, error) {
	if d.Proxy == nil {
		return nil, nil //nolint:nilnil // no proxy is an answer, as in net/http
	}
	proxy, err := d.Proxy(target)
	if err != nil {
		return nil, fault.New(fault.Invalid, "choose proxy for", target.Host, err).
			WithHint("check the proxy settings and the environment variable HTTPS_PROXY")
	}
	if proxy != nil && proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fault.New(fault.Invalid, "use proxy", proxy.Redacted(), errors.New("only http and https proxies are supported")).
			WithHint("write the proxy as http://host:port or https://host:port")
	}
	return proxy, nil
}

func (d *Dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	if d.Dial != nil {
		return d.Dial(ctx, network, addr)
	}
	nd := &net.Dialer{KeepAlive: 30 * time.Second}
	return nd.DialContext(ctx, network, addr)
}

// open connects to the proxy itself.
func (d *Dialer) open(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	port := proxy.Port()
	if port == "" {
		port = "80"
		if proxy.Scheme == "https" {
			port = "443"
		}
	}
	conn, err := d.dial(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "connect to proxy", proxy.Host, err).
			WithHint("check that the proxy's host and port are right and that this machine may reach it")
	}
	if proxy.Scheme != "https" {
		return conn, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLS != nil {
		conf = d.TLS.Clone()
	}
	conf.ServerName, conf.NextProtos = proxy.Hostname(), nil
	tc := tls.Client(conn, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fault.New(fault.Unavailable, "start TLS with proxy", proxy.Host, err).
			WithHint("check that the proxy speaks TLS on this port and that its issuer is trusted")
	}
	return tc, nil
}

// tunnelConn gives back first what was read ahead of the tunnel's begin.
type tunnelConn struct {
	net.Conn
	ahead *bufio.Reader
}

func (t *tunnelConn) Read(p []byte) (int, error) {
	if t.ahead != nil {
		if t.ahead.Buffered() > 0 {
			return t.ahead.Read(p[:min(len(p), t.ahead.Buffered())])
		}
		t.ahead = nil
	}
	return t.Conn.Read(p)
}
