package servicenow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The functions of this file look at one layer of the way to the instance each,
// for the doctor, which calls them from the bottom up and stops at the first that
// fails.

// ProxyURL returns the proxy that is used towards the instance, without its
// password; "" means none.
func (c *Client) ProxyURL() (string, error) {
	p, err := c.proxy()
	if err != nil || p == nil {
		return "", err
	}
	return p.Redacted(), nil
}

func (c *Client) proxy() (*url.URL, error) {
	if c.net == nil || c.base.Scheme == "http" {
		return nil, nil //nolint:nilnil // no proxy, as in net/http
	}
	return c.net.proxy(&url.URL{Scheme: "https", Host: hostPort(c.base)})
}

// CheckDNS resolves the name that this machine connects to: that of the proxy
// where there is one, otherwise that of the instance.
func (c *Client) CheckDNS(ctx context.Context) (host string, addrs []string, err error) {
	host = c.base.Hostname()
	p, err := c.proxy()
	if err != nil {
		return host, nil, err
	}
	if p != nil {
		host = p.Hostname()
	}
	addrs, err = net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return host, nil, fault.New(fault.Unavailable, "resolve", host, err).
			WithHint("check the spelling of the name and the DNS servers of this machine")
	}
	return host, addrs, nil
}

// CheckConnect opens a connection to the instance, through the proxy with its
// login where there is one, and closes it. It returns how long that took.
func (c *Client) CheckConnect(ctx context.Context) (time.Duration, error) {
	if c.net == nil {
		return 0, noNetwork()
	}
	began := time.Now()
	conn, err := c.dial(ctx)
	if err != nil {
		return 0, err
	}
	return time.Since(began), conn.Close()
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := c.net.transport(&c.conf).DialContext(ctx, "tcp", hostPort(c.base))
	if err != nil {
		return nil, attempt{op: "connect to", subject: c.Host()}.transportError(ctx, &sentTrace{}, err)
	}
	return conn, nil
}

func noNetwork() error {
	return fault.New(fault.Internal, "check the network", "", errors.New("the client has a transport of its own"))
}

// TLSReport is what the instance (or the TLS inspection before it) showed.
type TLSReport struct {
	Version string // "TLS 1.3"
	Cipher  string
	// Chain is what the server sent, its own certificate first.
	Chain []CertReport
	// Trusted is nil when chain, name and revocation are in order, and otherwise
	// what is wrong, with a hint.
	Trusted error
}

// CertReport names one certificate.
type CertReport struct {
	Subject, Issuer string
	NotAfter        time.Time
	Names           []string // DNS names
}

// CheckTLS shakes hands with the instance and reports the chain of certificates
// whether it is trusted or not; nothing is sent over the connection. The error is
// about the connection, TLSReport.Trusted about the certificates.
func (c *Client) CheckTLS(ctx context.Context) (TLSReport, error) {
	if c.net == nil {
		return TLSReport{}, noNetwork()
	}
	if c.base.Scheme == "http" {
		return TLSReport{Version: "none (http towards this machine)"}, nil
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return TLSReport{}, err
	}
	defer func() { _ = conn.Close() }()
	var chain []*x509.Certificate
	conf := c.net.tls.Clone()
	conf.ServerName = c.base.Hostname()
	conf.VerifyPeerCertificate = nil
	conf.InsecureSkipVerify = true // verify does the same checks below, so that the chain of a refused server can be shown
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		chain = cs.PeerCertificates
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.conf.ConnectTimeout)
	defer cancel()
	tc := tls.Client(conn, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		a := attempt{op: "start TLS with", subject: c.Host()}
		return TLSReport{}, a.transportError(ctx, &sentTrace{}, err)
	}
	cs := tc.ConnectionState()
	r := TLSReport{Version: tls.VersionName(cs.Version), Cipher: tls.CipherSuiteName(cs.CipherSuite)}
	for _, cert := range chain {
		r.Chain = append(r.Chain, CertReport{
			Subject: clean(cert.Subject.String()), Issuer: clean(cert.Issuer.String()), NotAfter: cert.NotAfter.UTC(), Names: cert.DNSNames,
		})
	}
	r.Trusted = c.verify(ctx, cs)
	return r, nil
}

// verify does what crypto/tls does in a handshake that checks.
func (c *Client) verify(ctx context.Context, cs tls.ConnectionState) error {
	a := attempt{op: "trust", subject: c.Host()}
	if len(cs.PeerCertificates) == 0 {
		return fault.New(fault.Denied, a.op, a.subject, errors.New("no certificate")).WithHint("check that url is the instance")
	}
	pool := x509.NewCertPool()
	for _, cert := range cs.PeerCertificates[1:] {
		pool.AddCert(cert)
	}
	chains, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: c.net.tls.RootCAs, Intermediates: pool, DNSName: c.base.Hostname(),
	})
	if err != nil {
		return a.transportError(ctx, &sentTrace{}, &tls.CertificateVerificationError{
			UnverifiedCertificates: cs.PeerCertificates, Err: err,
		})
	}
	cs.VerifiedChains = chains
	return c.net.tls.VerifyConnection(cs)
}

// CheckClock compares the clocks: it asks the instance for one row of a small
// table and returns the clock of the instance minus the clock here. A refused
// login answers too.
func (c *Client) CheckClock(ctx context.Context) (time.Duration, error) {
	k := call{
		attempt: attempt{op: "read the clock of", subject: c.Host()}, method: http.MethodGet,
		path: tablePath + "sys_user?sysparm_limit=1&sysparm_fields=sys_id",
	}
	_, err := c.do(ctx, k)
	if s := c.Signals(); s.SkewKnown {
		return s.Skew, nil
	}
	if err == nil {
		err = fault.New(fault.Unavailable, k.op, k.subject, errors.New("the answer has no date")).WithHint("check the clock by hand")
	}
	return 0, err
}
