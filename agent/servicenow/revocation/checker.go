package revocation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Mode says how strictly revocation is checked.
type Mode string

// The modes. Off asks nobody. Soft refuses what is known to be revoked and lets
// pass what nobody answers for. Hard wants a good answer for every certificate
// below the root.
const (
	Off  Mode = "off"
	Soft Mode = "soft"
	Hard Mode = "hard"
)

// ErrRevoked is in the chain of errors about a certificate that was revoked.
var ErrRevoked = errors.New("certificate was revoked")

// Config is what a Checker is made of.
type Config struct {
	Mode Mode // "" means Off
	// Transport fetches OCSP answers and CRLs; required unless Mode is Off.
	Transport http.RoundTripper
	// Timeout bounds one fetch; 0 means 10 seconds.
	Timeout time.Duration
	// Passed is told of each certificate that Soft let pass without an answer. It
	// may be nil, and is called from several goroutines.
	Passed func(cert *x509.Certificate, err error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Checker checks certificates. It is safe for concurrent use.
type Checker struct {
	conf Config
	mu   sync.Mutex
	seen map[string]verdict // by issuer key and serial number
	crls map[string]crlEntry
}

// verdict is a cached answer about one certificate.
type verdict struct {
	err   error // nil: good
	until time.Time
}

// The caches are bounded; an agent sees a handful of certificates.
const (
	maxVerdicts  = 256
	maxCRLs      = 16
	failureTTL   = 5 * time.Minute
	clockSkew    = 5 * time.Minute
	noNextUpdate = time.Hour // how long an OCSP answer without an end is taken
)

// New returns a Checker. The error is of kind fault.Invalid for an unknown mode.
func New(conf Config) (*Checker, error) {
	switch conf.Mode {
	case "":
		conf.Mode = Off
	case Off, Soft, Hard:
	default:
		return nil, fault.New(fault.Invalid, "read revocation mode", string(conf.Mode), errors.New("unknown mode")).
			WithHint("use off, soft or hard")
	}
	if conf.Mode != Off && conf.Transport == nil {
		return nil, fault.New(fault.Internal, "make revocation checker", "", errors.New("no transport"))
	}
	if conf.Timeout <= 0 {
		conf.Timeout = 10 * time.Second
	}
	if conf.Now == nil {
		conf.Now = time.Now
	}
	return &Checker{conf: conf, seen: make(map[string]verdict), crls: make(map[string]crlEntry)}, nil
}

// VerifyConnection is a tls.Config.VerifyConnection. It accepts a connection when
// one verified chain passes. The error is of kind fault.Denied when a certificate
// was revoked, and of kind fault.Unavailable when Hard got no answer.
func (c *Checker) VerifyConnection(cs tls.ConnectionState) error {
	if c.conf.Mode == Off {
		return nil
	}
	var first error
	for _, chain := range cs.VerifiedChains {
		err := c.chain(chain, cs.OCSPResponse)
		if err == nil {
			return nil
		}
		if first == nil || errors.Is(err, ErrRevoked) {
			first = err
		}
	}
	if first == nil {
		first = fault.New(fault.Denied, "check revocation of", cs.ServerName, errors.New("no verified chain")).
			WithHint("do not combine revocation checks with a disabled certificate check")
	}
	return first
}

// chain checks every certificate that has an issuer in the chain. The root has
// none: it is trusted because someone put it into the store.
func (c *Checker) chain(chain []*x509.Certificate, stapled []byte) error {
	for i := range len(chain) - 1 {
		cert, issuer := chain[i], chain[i+1]
		if i > 0 {
			stapled = nil
		}
		err := c.status(cert, issuer, stapled)
		switch {
		case err == nil:
		case errors.Is(err, ErrRevoked):
			return fault.New(fault.Denied, "check revocation of", name(cert), err).
				WithHint("do not trust this server; ask who runs it (or the TLS inspection) for a new certificate")
		case c.conf.Mode == Hard:
			return fault.New(fault.Unavailable, "check revocation of", name(cert), err).
				WithHint("make the OCSP responder or CRL reachable, or set tls revocation to soft")
		case c.conf.Passed != nil:
			c.conf.Passed(cert, err)
		}
	}
	return nil
}

func name(cert *x509.Certificate) string {
	if cert.Subject.CommonName != "" {
		return cert.Subject.CommonName
	}
	return fmt.Sprintf("serial %x", cert.SerialNumber)
}

// status returns nil for good, an error with ErrRevoked for revoked, and another
// one where nobody gave an answer.
func (c *Checker) status(cert, issuer *x509.Certificate, stapled []byte) error {
	key := string(issuer.RawSubjectPublicKeyInfo) + cert.SerialNumber.String()
	now := c.conf.Now()
	c.mu.Lock()
	v, ok := c.seen[key]
	c.mu.Unlock()
	unanswered := ok && v.err != nil && !errors.Is(v.err, ErrRevoked)
	if ok && now.Before(v.until) && (!unanswered || len(stapled) == 0) {
		return v.err
	}
	v = c.ask(cert, issuer, stapled)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) >= maxVerdicts {
		clear(c.seen)
	}
	c.seen[key] = v
	return v.err
}

func (c *Checker) ask(cert, issuer *x509.Certificate, stapled []byte) verdict {
	var problems []error
	if len(stapled) > 0 {
		v, err := c.readOCSP(stapled, cert, issuer)
		if err == nil {
			return v
		}
		problems = append(problems, fmt.Errorf("stapled answer: %w", err))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*c.conf.Timeout) // the hook of crypto/tls has no context
	defer cancel()
	for _, fetch := range []func(context.Context, *x509.Certificate, *x509.Certificate) (verdict, error){c.fetchOCSP, c.fetchCRL} {
		v, err := fetch(ctx, cert, issuer)
		if err == nil {
			return v
		}
		problems = append(problems, err)
	}
	return verdict{errors.Join(problems...), c.conf.Now().Add(failureTTL)}
}
