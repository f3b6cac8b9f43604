package servicenow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// tokenSource keeps one OAuth access token: it is asked for once, renewed before
// its end, and renewed when the instance refuses it.
//
// Source: "OAuth API request parameters" and "OAuth API response parameters" of
// the ServiceNow documentation.
type tokenSource struct {
	conf     *OAuth
	endpoint string
	client   *http.Client
	timeout  time.Duration
	agent    string

	turn    chan struct{} // held by who asks for a token
	access  string
	refresh string
	renewAt time.Time
}

func newTokenSource(o *OAuth, base *url.URL, rt http.RoundTripper, c *Config) *tokenSource {
	endpoint := o.TokenURL
	if endpoint == "" {
		endpoint = base.Scheme + "://" + base.Host + strings.TrimSuffix(base.Path, "/") + "/oauth_token.do"
	}
	return &tokenSource{
		conf: o, endpoint: endpoint, timeout: c.Timeout, agent: c.UserAgent,
		turn: make(chan struct{}, 1),
		client: &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	}
}

// token returns an access token other than rejected, which is "" or one that the
// instance refused. Where the instance hands out the refused one again, the token
// is that one, and the caller gives up.
func (t *tokenSource) token(ctx context.Context, rejected string) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if t.access != "" && t.access != rejected && time.Now().Before(t.renewAt) {
		return t.access, nil
	}
	err := t.renew(ctx)
	return t.access, err
}

// renew asks for a token: by the refresh token where there is one, otherwise and
// after a refusal of it by the configured grant.
func (t *tokenSource) renew(ctx context.Context) error {
	t.access = ""
	if t.refresh != "" {
		refresh := t.refresh
		t.refresh = ""
		err := t.ask(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
		if err == nil || !errors.Is(err, ErrUnauthorized) {
			if err != nil || t.refresh == "" {
				t.refresh = refresh // not refused; an answer without a new one keeps the old one
			}
			return err
		}
	}
	form, err := t.grant()
	if err != nil {
		return err
	}
	return t.ask(ctx, form)
}

func (t *tokenSource) grant() (url.Values, error) {
	form := url.Values{}
	switch {
	case t.conf.RefreshToken != nil:
		refresh, err := t.conf.RefreshToken()
		if err != nil {
			return nil, secretError("refresh token", err)
		}
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", refresh)
	case t.conf.Username != "":
		password, err := t.conf.Password()
		if err != nil {
			return nil, secretError("password", err)
		}
		form.Set("grant_type", "password")
		form.Set("username", t.conf.Username)
		form.Set("password", password)
	default:
		form.Set("grant_type", "client_credentials")
	}
	if t.conf.Scope != "" {
		form.Set("scope", t.conf.Scope)
	}
	return form, nil
}

func secretError(what string, err error) error {
	return fault.New(fault.KindOf(err), "read the OAuth", what, err).WithHint("check the secret reference in the section oauth")
}

// ask posts one grant. Parameters go into the body: new instances refuse them in
// the query string.
func (t *tokenSource) ask(ctx context.Context, form url.Values) error {
	secret, err := t.conf.ClientSecret()
	if err != nil {
		return secretError("client secret", err)
	}
	form.Set("client_id", t.conf.ClientID)
	form.Set("client_secret", secret)
	a := attempt{op: "get a token from", subject: t.endpoint}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	ctx, sent := watch(ctx)
	ctx = attach(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return fault.New(fault.Invalid, a.op, a.subject, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", t.agent)
	resp, err := t.client.Do(req)
	if err != nil {
		return a.transportError(ctx, sent, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return a.bodyError(ctx, resp.StatusCode, err)
	}
	return t.take(a, resp, body)
}

// take reads an answer of the token endpoint.
func (t *tokenSource) take(a attempt, resp *http.Response, body []byte) error {
	f, parseErr := flatObject(body)
	if resp.StatusCode == http.StatusOK && parseErr == nil && f["access_token"] != "" && f["error"] == "" {
		t.keep(f)
		return nil
	}
	if f["error"] != "" && resp.StatusCode < 500 {
		e := &AnswerError{
			Status: resp.StatusCode, Message: clean(f["error"]), Detail: clean(f["error_description"]), Cause: ErrUnauthorized,
		}
		return a.fail(fault.Denied, e, oauthHint(f["error"], f["error_description"]))
	}
	if err := a.status(resp.StatusCode, resp.Header, body); err != nil {
		return err
	}
	return a.fail(fault.Unavailable, &AnswerError{Status: resp.StatusCode, Cause: ErrNotJSON}, "check token_url")
}

func (t *tokenSource) keep(f map[string]string) {
	seconds, err := strconv.Atoi(f["expires_in"])
	if err != nil || seconds <= 0 {
		seconds = 1800 // the documented default
	}
	life := time.Duration(min(seconds, 30*86400)) * time.Second
	t.access = f["access_token"]
	t.renewAt = time.Now().Add(life - min(life/10, time.Minute))
	if f["refresh_token"] != "" {
		t.refresh = f["refresh_token"]
	}
}

// oauthHint maps the errors of the token endpoint. Instances answer access_denied
// to nearly everything.
func oauthHint(code, description string) string {
	text := strings.ToLower(code + " " + description)
	switch {
	case strings.Contains(text, "integration user"), strings.Contains(text, "unauthorized_client"):
		return "set an OAuth application user on the registry record of this client on the instance"
	case strings.Contains(text, "invalid_client"):
		return "check client_id and client_secret"
	case strings.Contains(text, "invalid_grant"):
		return "check user and password, or get a new refresh token"
	default:
		return "check client_id, client_secret and user, and that the grant type is enabled on the instance " +
			"(glide.oauth.inbound.client.credential.grant_type.enabled)"
	}
}

// flatObject reads the scalars of a JSON object.
func flatObject(body []byte) (map[string]string, error) {
	s := newScanner(body)
	r, err := s.record()
	if err == nil {
		err = s.end()
	}
	return r, err
}
