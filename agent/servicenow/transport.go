package servicenow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
	"github.com/sallyport-agent/sallyport/agent/servicenow/revocation"
)

// idleTimeout closes idle connections before the instance does, whose answers
// say "Keep-Alive: timeout=20": a request written to a connection that is just
// being closed has an unknown outcome.
const idleTimeout = 18 * time.Second

// network is the part of a client below HTTP: proxy, TLS, connections.
type network struct {
	dialer *proxyauth.Dialer
	tls    *tls.Config
	proxy  func(*url.URL) (*url.URL, error)
}

func newNetwork(c *Config) (*network, error) {
	proxy, err := c.Proxy.chooser()
	if err != nil {
		return nil, err
	}
	roots, err := c.TLS.rootCAs()
	if err != nil {
		return nil, err
	}
	login := proxyauth.Login{
		Scheme: c.Proxy.Auth, User: c.Proxy.User, Password: c.Proxy.Password, Kerberos: c.Proxy.Kerberos,
	}
	if err := login.Validate(); err != nil {
		return nil, err
	}
	minVersion := max(c.TLS.MinVersion, tls.VersionTLS12)
	n := &network{proxy: proxy, dialer: &proxyauth.Dialer{
		Proxy: proxy, Login: login, Timeout: c.ConnectTimeout, UserAgent: c.UserAgent,
		TLS: &tls.Config{RootCAs: roots, MinVersion: minVersion},
	}}
	checker, err := revocation.New(revocation.Config{
		Mode: c.TLS.Revocation, Transport: n.dialer, Timeout: c.ConnectTimeout,
		Passed: func(cert *x509.Certificate, err error) {
			c.Log.Warn("revocation of a certificate could not be checked", "subject", cert.Subject.String(), "error", err)
		},
	})
	if err != nil {
		return nil, err
	}
	n.tls = &tls.Config{RootCAs: roots, MinVersion: minVersion, VerifyConnection: checker.VerifyConnection}
	if cert := c.TLS.Certificate; cert != nil {
		n.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert() }
	}
	return n, nil
}

// transport returns the HTTP/1.1 transport over the network.
func (n *network) transport(c *Config) *http.Transport {
	direct := &net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if host, _, err := net.SplitHostPort(addr); err == nil && c.plainLoopback(host) {
				return direct.DialContext(ctx, network, addr)
			}
			return n.dialer.DialContext(ctx, network, addr)
		},
		TLSClientConfig:        n.tls,
		TLSHandshakeTimeout:    3 * c.ConnectTimeout, // revocation is checked inside the handshake
		MaxIdleConnsPerHost:    c.MaxParallel,
		MaxConnsPerHost:        0,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
	}
}

// plainLoopback says that a host is reached by http on this machine, which no
// proxy can do.
func (c *Config) plainLoopback(host string) bool {
	u, err := url.Parse(c.URL)
	return err == nil && u.Scheme == "http" && u.Hostname() == host
}

// chooser returns the function that picks the proxy for a target.
func (p *Proxy) chooser() (func(*url.URL) (*url.URL, error), error) {
	switch p.URL {
	case "":
		env := httpproxy.FromEnvironment()
		return env.ProxyFunc(), nil
	case "direct":
		return func(*url.URL) (*url.URL, error) { return nil, nil }, nil //nolint:nilnil // no proxy, as in net/http
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, badConfig("proxy url", "", "is no http or https address", "write it as http://proxy.example.com:3128")
	}
	except, err := proxyauth.ParseExceptions(p.NoProxy)
	if err != nil {
		return nil, err
	}
	return func(target *url.URL) (*url.URL, error) {
		if except.Match(hostPort(target)) {
			return nil, nil //nolint:nilnil // no proxy, as in net/http
		}
		return u, nil
	}, nil
}
