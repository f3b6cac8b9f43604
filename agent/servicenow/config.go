package servicenow

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
	"github.com/sallyport-agent/sallyport/agent/servicenow/revocation"
)

// SecretFunc returns a secret at the moment when it is needed. It must be safe
// for concurrent use. What it returns is neither logged nor kept.
type SecretFunc func() (string, error)

// Config is what a Client is made of. URL and one way to log in are required;
// everything else has a default.
type Config struct {
	// URL is the instance: https://example.service-now.com. http is accepted
	// towards loopback addresses only.
	URL string
	// Basic or OAuth is how to log in; at most one may be set. With neither, TLS
	// must have a client certificate.
	Basic *Basic
	OAuth *OAuth
	Proxy Proxy
	TLS   TLS

	// Timeout bounds one request with its answer, retries not included; 0 means 90
	// seconds, more than the 60 seconds that an instance gives a REST transaction.
	Timeout time.Duration
	// ConnectTimeout bounds each of connecting, proxy login and TLS handshake; 0
	// means 15 seconds.
	ConnectTimeout time.Duration
	// TransferTimeout bounds the upload or download of an attachment; 0 means 10
	// minutes.
	TransferTimeout time.Duration
	// MaxAnswer bounds an answer in bytes, after decompression; 0 means 64 MB.
	MaxAnswer int64
	// MaxParallel bounds the requests in flight; 0 means 6. An instance serves
	// about four REST requests a node at once (semaphore set API_INT).
	MaxParallel int
	// Retries is how often a read is repeated; 0 means 3, less than 0 means never.
	Retries int
	// NoBatch sends every request alone, for instances where the Batch API answers
	// and does not do.
	NoBatch bool
	// UserAgent is sent with every request; "" means "Sallyport".
	UserAgent string
	// UserZone is the time zone of the agent's user on the instance, which Login
	// reports. nil means unknown: queries by date then ask for more rows than
	// needed, and cut here.
	UserZone *time.Location
	// Log gets warnings and debug lines; nil means none.
	Log *slog.Logger
	// Transport replaces proxy, TLS and connections, for tests.
	Transport http.RoundTripper
}

// Basic is a user and a password. Instances can refuse Basic for users who may
// log in interactively; the user should be "web service access only".
type Basic struct {
	Username string
	Password SecretFunc
}

// OAuth is an OAuth 2 registration on the instance. With Username the password
// grant is used, with RefreshToken the refresh grant, with neither the client
// credentials grant.
type OAuth struct {
	ClientID     string
	ClientSecret SecretFunc
	Username     string
	Password     SecretFunc
	RefreshToken SecretFunc
	Scope        string
	// TokenURL is the token endpoint; "" means /oauth_token.do of the instance.
	TokenURL string
}

// Proxy is the way out. The zero value follows HTTPS_PROXY and NO_PROXY of the
// environment.
type Proxy struct {
	// URL is http://host:port or https://host:port; "direct" means no proxy, "" the
	// environment.
	URL string
	// User, Password, Auth and Kerberos are the login; see proxyauth.Login.
	User     string
	Password SecretFunc
	Auth     string
	Kerberos proxyauth.Kerberos
	// NoProxy lists targets that are dialed directly; see
	// proxyauth.ParseExceptions. It is for a URL that is set here.
	NoProxy []string
}

// TLS is the trust in the instance (or in the TLS inspection before it).
type TLS struct {
	// ExtraCA holds certificates in PEM that are trusted beside the system's.
	ExtraCA []byte
	// OnlyExtra trusts ExtraCA alone.
	OnlyExtra bool
	// MinVersion is tls.VersionTLS12 (also 0) or tls.VersionTLS13.
	MinVersion uint16
	// Certificate returns the client certificate, for mutual TLS; nil means none.
	Certificate func() (*tls.Certificate, error)
	// Revocation is revocation.Off (also ""), Soft or Hard.
	Revocation revocation.Mode
}

// validate fills in defaults and parses the address.
func (c *Config) validate() (*url.URL, error) {
	base, err := parseBase(c.URL)
	if err != nil {
		return nil, err
	}
	if err := c.validateLogin(base); err != nil {
		return nil, err
	}
	if v := c.TLS.MinVersion; v != 0 && v != tls.VersionTLS12 && v != tls.VersionTLS13 {
		return nil, badConfig("tls min_version", tls.VersionName(v), "is below TLS 1.2", "use 1.2 or 1.3")
	}
	setDefault(&c.Timeout, 90*time.Second)
	setDefault(&c.ConnectTimeout, 15*time.Second)
	setDefault(&c.TransferTimeout, 10*time.Minute)
	setDefault(&c.MaxAnswer, 64<<20)
	setDefault(&c.MaxParallel, 6)
	if c.Retries == 0 {
		c.Retries = 3
	}
	c.Retries = max(c.Retries, 0)
	if c.UserAgent == "" {
		c.UserAgent = "Sallyport"
	}
	if strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, badConfig("user agent", c.UserAgent, "holds characters that a header cannot", "use plain ASCII")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return base, nil
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

func (c *Config) validateLogin(base *url.URL) error {
	switch {
	case c.Basic != nil && c.OAuth != nil:
		return badConfig("login", base.Host, "both a password and OAuth are set", "keep one of them")
	case c.Basic != nil:
		if c.Basic.Username == "" || strings.Contains(c.Basic.Username, ":") || c.Basic.Password == nil {
			return badConfig("username", c.Basic.Username, "needs a name without colon and a password", "set username and password")
		}
	case c.OAuth != nil:
		if c.OAuth.ClientID == "" || c.OAuth.ClientSecret == nil {
			return badConfig("oauth", base.Host, "lacks client id or secret", "set client_id and client_secret")
		}
		if c.OAuth.Username != "" && c.OAuth.Password == nil {
			return badConfig("oauth", base.Host, "has a user without password", "set the password, or remove the user")
		}
		if c.OAuth.TokenURL != "" {
			_, err := parseBase(c.OAuth.TokenURL)
			return err
		}
	case c.TLS.Certificate == nil:
		return badConfig("login", base.Host, "no login is set", "set username and password, oauth, or a client certificate")
	}
	return nil
}

func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parse error quotes the text, which may hold a password.
		return nil, badConfig("url", "", "is no address", "write it as https://example.service-now.com")
	}
	switch {
	case u.User != nil:
		return nil, badConfig("url", u.Redacted(), "holds a user", "set username and password on their own")
	case u.Scheme == "https" && u.Host != "":
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	case u.Scheme == "http":
		return nil, badConfig("url", raw, "is not encrypted", "use https; http is accepted towards this machine only")
	default:
		return nil, badConfig("url", raw, "is no https address", "write it as https://example.service-now.com")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, badConfig("url", raw, "has a query or fragment", "write it as https://example.service-now.com")
	}
	return u, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func badConfig(what, value, why, hint string) error {
	return fault.New(fault.Invalid, "configure instance:", strings.TrimSpace(what+" "+value), errors.New(why)).WithHint(hint)
}

// rootCAs returns the pool of trusted issuers; nil means the system's own.
func (t *TLS) rootCAs() (*x509.CertPool, error) {
	if len(t.ExtraCA) == 0 {
		if t.OnlyExtra {
			return nil, badConfig("tls", "", "trusts extra issuers only, and has none", "set ca_file")
		}
		return nil, nil //nolint:nilnil // nil is crypto/tls's word for the system's pool
	}
	pool := x509.NewCertPool()
	if !t.OnlyExtra {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fault.New(fault.Unavailable, "read the system's certificate store", "", err).
				WithHint("install the package ca-certificates")
		}
		pool = system
	}
	if !pool.AppendCertsFromPEM(t.ExtraCA) {
		return nil, badConfig("tls", "ca_file", "holds no certificate in PEM", "export the issuer as Base-64 encoded X.509 (PEM)")
	}
	return pool, nil
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "http" {
		return net.JoinHostPort(u.Hostname(), "80")
	}
	return net.JoinHostPort(u.Hostname(), "443")
}
