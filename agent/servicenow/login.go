package servicenow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// loginTransport adds credentials, cookies and token to requests, takes over what
// answers say about the session, and sends a request again, once, when its login
// was refused for a reason that it can cure. A refused login had no effect, so
// this is safe for writes.
type loginTransport struct {
	c    *Client
	next http.RoundTripper
}

type sessionKey struct{}

// RoundTrip sends a request whose context carries a session.
func (t *loginTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	s, ok := req.Context().Value(sessionKey{}).(*session)
	if !ok {
		s = &session{}
	}
	resp, used, err := t.once(req, s)
	if err != nil || !t.cure(req.Context(), resp, s, used) {
		return t.settle(resp, err)
	}
	again := req
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return t.settle(resp, nil)
		}
		body, err := req.GetBody()
		if err != nil {
			return t.settle(resp, nil)
		}
		again = req.Clone(req.Context())
		again.Body = body
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	forget(req.Context())
	resp, _, err = t.once(again, s)
	return t.settle(resp, err)
}

// used is what a request logged in with.
type used struct {
	token   string
	cookies bool
	csrf    bool
}

func (t *loginTransport) once(req *http.Request, s *session) (*http.Response, used, error) {
	r := req.Clone(attach(req.Context())) // a RoundTripper must not change its request
	r.Header.Set("User-Agent", t.c.conf.UserAgent)
	u, err := t.authorize(req.Context(), r.Header)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, u, err
	}
	began := time.Now()
	u.cookies = s.apply(r.Header, began)
	u.csrf = r.Header.Get("X-Usertoken") != ""
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, u, err
	}
	t.c.signals.observe(resp, began)
	s.store(t.c.base.Hostname(), resp.Cookies(), time.Now())
	return resp, u, nil
}

func (t *loginTransport) authorize(ctx context.Context, h http.Header) (used, error) {
	c := &t.c.conf
	switch {
	case t.c.tokens != nil:
		token, err := t.c.tokens.token(ctx, "")
		if err != nil {
			if errors.Is(err, ErrUnauthorized) {
				t.c.hold.refused(err)
			}
			return used{}, err
		}
		h.Set("Authorization", "Bearer "+token)
		return used{token: token}, nil
	case c.Basic != nil:
		password, err := c.Basic.Password()
		if err != nil {
			return used{}, fault.New(fault.KindOf(err), "read the password of", t.c.Host(), err).
				WithHint("check the secret reference of the instance's password")
		}
		r := http.Request{Header: h}
		r.SetBasicAuth(c.Basic.Username, password)
	}
	return used{}, nil
}

// cure reports whether the request is worth sending again, after it changed what
// the refusal was about.
func (t *loginTransport) cure(ctx context.Context, resp *http.Response, s *session, u used) bool {
	redirected := resp.StatusCode >= 300 && resp.StatusCode < 400 && isLoginLocation(resp.Header.Get("Location"))
	if resp.StatusCode != http.StatusUnauthorized && !redirected {
		return false
	}
	// A session wants the token against cross-site requests, and says which.
	if token := resp.Header.Get("X-Usertoken-Response"); !redirected && token != "" && !u.csrf &&
		resp.Header.Get("X-Is-Logged-In") == "true" {
		s.setToken(token)
		return true
	}
	cured := u.cookies // a session that ended; begin a new one
	s.reset()
	if u.token != "" {
		fresh, err := t.c.tokens.token(ctx, u.token)
		cured = cured || err == nil && fresh != u.token
	}
	return cured
}

// settle keeps the books about refused logins.
func (t *loginTransport) settle(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized {
		a := attempt{op: "log in at", subject: t.c.Host()}
		t.c.hold.refused(a.status(resp.StatusCode, resp.Header, nil))
	} else if resp.StatusCode < 300 || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound {
		t.c.hold.clear()
	}
	return resp, nil
}
