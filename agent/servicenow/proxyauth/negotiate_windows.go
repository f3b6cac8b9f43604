package proxyauth

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/alexbrainman/sspi"
	sspinegotiate "github.com/alexbrainman/sspi/negotiate"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// negotiate is RFC 4559 by the system's own Negotiate package, with the
// configured account or that of the process.
type negotiate struct {
	cred *sspi.Credentials
	ctx  *sspinegotiate.ClientContext
	spn  string
}

func newNegotiate(host, user, password string, _ Kerberos) (mechanism, error) {
	cred, err := acquire(user, password)
	if err != nil {
		return nil, noTicket("get credentials for", schemeNegotiate, err)
	}
	return &negotiate{cred: cred, spn: "HTTP/" + host}, nil
}

func acquire(user, password string) (*sspi.Credentials, error) {
	if user == "" {
		return sspinegotiate.AcquireCurrentUserCredentials()
	}
	domain, name, found := strings.Cut(user, `\`)
	if !found {
		domain, name = "", user
	}
	return sspinegotiate.AcquireUserCredentials(domain, name, password)
}

func noTicket(op, subject string, err error) error {
	return fault.New(fault.Denied, op, subject, err).
		WithHint("check proxy user and password, or the account that the service runs as")
}

func (n *negotiate) scheme() string { return schemeNegotiate }

func (n *negotiate) close() {
	if n.ctx != nil {
		_ = n.ctx.Release()
	}
	_ = n.cred.Release()
}

func (n *negotiate) next(_ context.Context, challenge []byte) (string, error) {
	var token []byte
	var err error
	if n.ctx == nil {
		n.ctx, token, err = sspinegotiate.NewClientContext(n.cred, n.spn)
	} else {
		_, token, err = n.ctx.Update(challenge)
	}
	if err != nil {
		return "", noTicket("log in by", schemeNegotiate, err)
	}
	return "Negotiate " + base64.StdEncoding.EncodeToString(token), nil
}
