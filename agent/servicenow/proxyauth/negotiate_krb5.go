//go:build !windows

package proxyauth

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/spnego"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// negotiate is RFC 4559 with a Kerberos ticket for HTTP/proxy-host.
type negotiate struct {
	cl   *client.Client
	spn  string
	sent bool
}

func newNegotiate(host, user, password string, k Kerberos) (mechanism, error) {
	path := firstOf(k.Config, os.Getenv("KRB5_CONFIG"), "/etc/krb5.conf")
	conf, err := config.Load(path)
	if err != nil {
		// gokrb5 reports directives that it does not know as an error beside a
		// usable configuration.
		if _, ok := errors.AsType[config.UnsupportedDirective](err); !ok || conf == nil {
			return nil, noTicket("read Kerberos configuration", path, err)
		}
	}
	cl, err := kerberosClient(conf, user, password, k)
	if err != nil {
		return nil, err
	}
	return &negotiate{cl: cl, spn: "HTTP/" + host}, nil
}

func kerberosClient(conf *config.Config, user, password string, k Kerberos) (*client.Client, error) {
	name, realm, found := strings.Cut(user, "@")
	if !found {
		realm = conf.LibDefaults.DefaultRealm
	}
	// Active Directory does not speak FAST armour as this library tries it.
	fast := client.DisablePAFXFAST(true)
	switch {
	case user != "" && k.Keytab != "":
		kt, err := keytab.Load(k.Keytab)
		if err != nil {
			return nil, noTicket("read keytab", k.Keytab, err)
		}
		return client.NewWithKeytab(name, realm, kt, conf, fast), nil
	case user != "" && password != "":
		return client.NewWithPassword(name, realm, password, conf, fast), nil
	}
	path := strings.TrimPrefix(firstOf(k.CCache, os.Getenv("KRB5CCNAME")), "FILE:")
	if path == "" {
		return nil, noTicket("log in by", schemeNegotiate, errors.New("neither password, keytab nor ticket cache is configured"))
	}
	cache, err := credentials.LoadCCache(path)
	if err != nil {
		return nil, noTicket("read ticket cache", path, err)
	}
	cl, err := client.NewFromCCache(cache, conf, fast)
	if err != nil {
		return nil, noTicket("use ticket cache", path, err)
	}
	return cl, nil
}

func firstOf(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

func noTicket(op, subject string, err error) error {
	return fault.New(fault.Denied, op, subject, err).
		WithHint("check user, password or keytab, and krb5.conf; klist and kinit show what works")
}

func (n *negotiate) scheme() string { return schemeNegotiate }
func (n *negotiate) close()         { n.cl.Destroy() }

// next asks the KDC for a ticket. The library takes no context: the KDC's own
// timeouts bound it.
func (n *negotiate) next(_ context.Context, _ []byte) (string, error) {
	if n.sent {
		return "", noTicket("log in by", schemeNegotiate, errors.New("the proxy wants more than a Kerberos ticket"))
	}
	n.sent = true
	if ok, err := n.cl.IsConfigured(); !ok {
		return "", noTicket("log in by", schemeNegotiate, err)
	}
	s := spnego.SPNEGOClient(n.cl, n.spn)
	if err := s.AcquireCred(); err != nil {
		return "", noTicket("get Kerberos ticket for", n.spn, err)
	}
	t, err := s.InitSecContext()
	if err != nil {
		return "", noTicket("get Kerberos ticket for", n.spn, err)
	}
	b, err := t.Marshal()
	if err != nil {
		return "", noTicket("encode Kerberos ticket for", n.spn, err)
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(b), nil
}
