package proxyauth

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// maxRounds bounds the answers to one login: offer, challenge, and a spare.
const maxRounds = 5

// exchange sends one request to a proxy and logs in on the way.
type exchange struct {
	d     *Dialer
	proxy *url.URL
	build func() *http.Request

	conn  net.Conn
	limit *io.LimitedReader
	br    *bufio.Reader
	mech  mechanism
}

// run returns the first answer that does not ask for a login. On success the
// connection is open and the answer's body unread.
func (x *exchange) run(ctx context.Context) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, x.d.timeout())
	defer cancel()
	resp, err := x.rounds(ctx)
	if x.mech != nil {
		x.mech.close()
	}
	if err != nil && x.conn != nil {
		_ = x.conn.Close()
	}
	return resp, err
}

func (x *exchange) rounds(ctx context.Context) (*http.Response, error) {
	var header string
	mech, err := x.d.Login.eager(x.proxy)
	if err != nil {
		return nil, err
	}
	if x.mech = mech; mech != nil {
		if header, err = mech.next(ctx, nil); err != nil {
			return nil, err
		}
	}
	for range maxRounds {
		resp, err := x.send(ctx, header)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusProxyAuthRequired {
			return resp, nil
		}
		if header, err = x.answer(ctx, resp); err != nil {
			return nil, err
		}
	}
	return nil, loginFailed(x.proxy, errors.New("the proxy keeps asking for a login"))
}

// answer turns a 407 into the next Proxy-Authorization header.
func (x *exchange) answer(ctx context.Context, resp *http.Response) (string, error) {
	offers := parseOffers(resp.Header.Values("Proxy-Authenticate"))
	_, err := io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	ends := resp.Close || err != nil
	if ends {
		_ = x.conn.Close()
		x.conn = nil
	}
	if x.mech == nil {
		if x.mech, err = x.d.Login.choose(x.proxy, offers); err != nil {
			return "", err
		}
		return x.mech.next(ctx, nil)
	}
	challenge, offered := offers[x.mech.scheme()]
	if !offered || len(challenge) == 0 {
		return "", loginFailed(x.proxy, fmt.Errorf("the proxy refused the login by %s; it offers %s", x.mech.scheme(), offers))
	}
	if ends {
		return "", loginFailed(x.proxy, errors.New("the proxy closed the connection in the middle of the login"))
	}
	return x.mech.next(ctx, challenge)
}

// send writes the request and reads the head of the answer.
func (x *exchange) send(ctx context.Context, header string) (*http.Response, error) {
	if x.conn == nil {
		conn, err := x.d.open(ctx, x.proxy)
		if err != nil {
			return nil, err
		}
		x.conn = conn
		x.limit = &io.LimitedReader{R: conn, N: maxHandshake}
		x.br = bufio.NewReader(x.limit)
	}
	stop := context.AfterFunc(ctx, func() { _ = x.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := x.build()
	if x.d.UserAgent != "" {
		req.Header.Set("User-Agent", x.d.UserAgent)
	}
	if header != "" {
		req.Header.Set("Proxy-Authorization", header)
	}
	req.Header.Set("Proxy-Connection", "Keep-Alive") // HTTP/1.0 proxies keep the connection of an NTLM login by it
	write := req.WriteProxy
	if req.Method == http.MethodConnect {
		write = req.Write
	}
	if err := write(x.conn); err != nil {
		return nil, x.broken(ctx, err)
	}
	x.limit.N = maxHandshake
	resp, err := http.ReadResponse(x.br, req)
	if err != nil {
		return nil, x.broken(ctx, err)
	}
	return resp, nil
}

func (x *exchange) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fault.New(fault.Unavailable, "talk to proxy", x.proxy.Host, err).
		WithHint("check that an HTTP proxy answers at this address, and its log")
}

func (x *exchange) tunnel() net.Conn {
	_ = x.conn.SetDeadline(time.Time{})
	if x.br.Buffered() == 0 {
		return x.conn
	}
	return &tunnelConn{Conn: x.conn, ahead: x.br}
}

// offers maps a lower case scheme to its decoded challenge, empty at first.
type offers map[string][]byte

func (o offers) String() string {
	names := make([]string, 0, len(o))
	for _, s := range []string{schemeNegotiate, schemeNTLM, schemeBasic} {
		if _, ok := o[s]; ok {
			names = append(names, s)
		}
	}
	if len(names) == 0 {
		return "nothing known here"
	}
	return strings.Join(names, ", ")
}

func parseOffers(headers []string) offers {
	o := make(offers)
	for _, h := range headers {
		// Several schemes may share a header, separated by commas, which parameters
		// use too; only the first word of each part can be a scheme.
		for part := range strings.SplitSeq(h, ",") {
			scheme, rest, _ := strings.Cut(strings.TrimSpace(part), " ")
			switch scheme = strings.ToLower(scheme); scheme {
			case schemeBasic:
				o[scheme] = nil
			case schemeNTLM, schemeNegotiate:
				token, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
				if err != nil {
					token = nil
				}
				o[scheme] = token
			}
		}
	}
	return o
}

func loginFailed(proxy *url.URL, err error) error {
	return fault.New(fault.Denied, "log in at proxy", proxy.Host, err).
		WithHint("check proxy user, password and auth (basic, ntlm, negotiate or auto)")
}

func refused(proxy *url.URL, addr string, resp *http.Response) error {
	if resp.StatusCode == http.StatusUnauthorized { // tinyproxy's word for a wrong password
		return loginFailed(proxy, errors.New("the proxy refused the login (HTTP 401)"))
	}
	kind, hint := fault.Unavailable, "check that the proxy can reach the instance, and the proxy's log"
	if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusMethodNotAllowed {
		kind, hint = fault.Denied, "allow CONNECT to "+addr+" on the proxy"
	}
	return fault.New(kind, "open tunnel through proxy", proxy.Host,
		fmt.Errorf("HTTP %d for %s", resp.StatusCode, addr)).WithHint(hint)
}
