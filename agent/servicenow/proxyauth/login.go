package proxyauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/go-ntlmssp"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const (
	schemeBasic     = "basic"
	schemeNTLM      = "ntlm"
	schemeNegotiate = "negotiate"
	schemeAuto      = "auto"
)

// Login is how to log in at a proxy.
type Login struct {
	// Scheme is "basic", "ntlm", "negotiate", or "auto" (also ""), which takes the
	// strongest that the proxy offers. Basic shows the password to whoever sits
	// between agent and proxy, unless the proxy is https.
	Scheme string
	// User is the account: name, DOMAIN\name or name@REALM. Empty means the user
	// of the proxy's URL and, with Negotiate, the account of the process.
	User string
	// Password returns the password when it is needed. It may be nil.
	Password func() (string, error)
	// Kerberos says where Negotiate finds its configuration; not used on Windows,
	// where the system does it.
	Kerberos Kerberos
}

// Kerberos names files of the MIT Kerberos library. Empty fields mean what that
// library would use: KRB5_CONFIG or /etc/krb5.conf, and KRB5CCNAME.
type Kerberos struct {
	Config string // krb5.conf
	Keytab string // key of User, instead of a password
	CCache string // ticket cache, where there is neither password nor keytab
}

// Validate checks the scheme. The error is of kind fault.Invalid.
func (l Login) Validate() error {
	switch l.Scheme {
	case "", schemeAuto, schemeBasic, schemeNTLM, schemeNegotiate:
		return nil
	default:
		return fault.New(fault.Invalid, "read proxy auth", l.Scheme, errors.New("unknown scheme")).
			WithHint("use basic, ntlm, negotiate or auto")
	}
}

// mechanism makes the headers of one login.
type mechanism interface {
	scheme() string
	// next returns a Proxy-Authorization header; challenge is nil at first.
	next(ctx context.Context, challenge []byte) (string, error)
	close()
}

// eager returns the mechanism to begin with before the proxy asked, or nil.
func (l Login) eager(proxy *url.URL) (mechanism, error) {
	if l.Scheme == "" || l.Scheme == schemeAuto {
		return nil, nil //nolint:nilnil // nothing to begin with is an answer
	}
	return l.make(proxy, l.Scheme)
}

// choose returns the mechanism for what a proxy offers.
func (l Login) choose(proxy *url.URL, o offers) (mechanism, error) {
	user, _, err := l.account(proxy)
	if err != nil {
		return nil, err
	}
	var tried error
	if _, ok := o[schemeNegotiate]; ok {
		m, err := l.make(proxy, schemeNegotiate)
		if err == nil {
			return m, nil
		}
		tried = err // no Kerberos here; a weaker scheme may do
	}
	for _, s := range []string{schemeNTLM, schemeBasic} {
		if _, ok := o[s]; ok && user != "" {
			return l.make(proxy, s)
		}
	}
	if tried != nil {
		return nil, tried
	}
	if user == "" {
		return nil, loginFailed(proxy, fmt.Errorf("the proxy wants a login (%s) and no user is configured", o))
	}
	return nil, loginFailed(proxy, fmt.Errorf("the proxy offers %s", o))
}

func (l Login) make(proxy *url.URL, scheme string) (mechanism, error) {
	user, password, err := l.account(proxy)
	if err != nil {
		return nil, err
	}
	switch scheme {
	case schemeNegotiate:
		return newNegotiate(proxy.Hostname(), user, password, l.Kerberos)
	case schemeNTLM:
		return &ntlm{user: user, password: password}, nil
	default:
		if strings.Contains(user, ":") {
			return nil, loginFailed(proxy, errors.New("a user name for basic cannot hold a colon"))
		}
		return &basic{user: user, password: password}, nil
	}
}

func (l Login) account(proxy *url.URL) (user, password string, err error) {
	if l.User == "" && proxy.User != nil {
		p, _ := proxy.User.Password()
		return proxy.User.Username(), p, nil
	}
	if l.Password == nil {
		return l.User, "", nil
	}
	if password, err = l.Password(); err != nil {
		return "", "", fault.New(fault.KindOf(err), "read the password of proxy", proxy.Host, err).
			WithHint("check the secret reference of the proxy's password")
	}
	return l.User, password, nil
}

// basic is RFC 7617.
type basic struct {
	user, password string
}

func (b *basic) scheme() string { return schemeBasic }
func (b *basic) close()         {}

func (b *basic) next(_ context.Context, _ []byte) (string, error) {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(b.user+":"+b.password)), nil
}

// ntlm is MS-NTHT with NTLMv2.
type ntlm struct {
	user, password string
}

func (n *ntlm) scheme() string { return schemeNTLM }
func (n *ntlm) close()         {}

func (n *ntlm) next(_ context.Context, challenge []byte) (string, error) {
	var token []byte
	var err error
	if challenge == nil {
		token, err = ntlmssp.NewNegotiateMessage("", "")
	} else {
		token, err = ntlmssp.NewAuthenticateMessage(challenge, n.user, n.password, nil)
	}
	if err != nil {
		return "", fault.New(fault.Denied, "log in at proxy by", schemeNTLM, err).
			WithHint("check that the proxy speaks NTLMv2")
	}
	return "NTLM " + base64.StdEncoding.EncodeToString(token), nil
}
