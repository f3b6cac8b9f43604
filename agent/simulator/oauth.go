package simulator

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// token is an OAuth token with its refresh token.
type token struct {
	access, refresh string
	client          string
	user            *account
	expires         time.Time
}

// defaultTokenLife is the documented default life of an access token.
const defaultTokenLife = 30 * time.Minute

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// bearer returns the user of an access token that is alive.
func (a *accounts) bearer(access string) *account {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tokens[access]
	if t == nil || a.in.opt.Now().After(t.expires) {
		return nil
	}
	return t.user
}

// oauthRefused is the answer to almost every mistake: bad secret, bad user, a
// grant that is switched off.
func oauthRefused() *reply {
	return jsonReply(http.StatusUnauthorized, []byte(`{"error_description":"access_denied","error":"server_error"}`))
}

// tokenEndpoint serves POST /oauth_token.do.
func (a *accounts) tokenEndpoint(c *call) *reply {
	if c.method != http.MethodPost {
		return notAllowed(c.method)
	}
	if !strings.HasPrefix(c.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return oauthRefused()
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return oauthRefused()
	}
	if a.property("glide.oauth.allow.parameters.in.post.body.only") != "true" {
		for k, v := range c.query {
			if !form.Has(k) {
				form[k] = v
			}
		}
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if name, password, ok := (&http.Request{Header: c.header}).BasicAuth(); ok && id == "" {
		id, secret = name, password
	}
	client, ok := a.clients[id]
	if !ok || subtle.ConstantTimeCompare([]byte(client.Secret), []byte(secret)) != 1 {
		return oauthRefused()
	}
	return a.grant(client, form)
}

func (a *accounts) property(name string) string {
	a.in.mu.RLock()
	defer a.in.mu.RUnlock()
	return a.in.st.property(name, "")
}

func (a *accounts) grant(client OAuthClient, form url.Values) *reply {
	switch form.Get("grant_type") {
	case "client_credentials":
		if a.property("glide.oauth.inbound.client.credential.grant_type.enabled") != "true" {
			return oauthRefused()
		}
		u := a.users[client.User]
		if u == nil || u.inactive {
			return jsonReply(http.StatusUnauthorized, []byte(`{"error_description":"integration user is not configured","error":"unauthorized_client"}`))
		}
		return a.issue(client, u, false)
	case "password":
		u := a.check(form.Get("username"), form.Get("password"))
		// The grant needs a user who may hold an interactive session.
		if u == nil || u.wsOnly || a.property("glide.oauth.inbound.ropc.grant_type.disabled") == "true" {
			return oauthRefused()
		}
		return a.issue(client, u, true)
	case "refresh_token":
		return a.refresh(client, form.Get("refresh_token"))
	}
	return oauthRefused()
}

// issue returns the current token of a client and user while it lives, with a
// shrinking expires_in, else a new one.
func (a *accounts) issue(client OAuthClient, u *account, withRefresh bool) *reply {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := client.ID + "\x00" + u.name
	t := a.current[key]
	if t == nil || a.in.opt.Now().After(t.expires) {
		t = a.renew(client, u, nil)
		if withRefresh {
			t.refresh = secretHex(32)
		}
	}
	return a.tokenReply(t, t.refresh)
}

// renew makes a new access token and forgets the one before. The caller holds mu.
func (a *accounts) renew(client OAuthClient, u *account, old *token) *token {
	life := client.Lifetime
	if life <= 0 {
		life = defaultTokenLife
	}
	t := &token{access: secretHex(32), client: client.ID, user: u, expires: a.in.opt.Now().Add(life)}
	key := client.ID + "\x00" + u.name
	if before := a.current[key]; before != nil {
		delete(a.tokens, before.access)
	}
	if old != nil {
		t.refresh = old.refresh
	}
	a.current[key] = t
	a.tokens[t.access] = t
	return t
}

// refresh gives a new access token; the documented reply holds no refresh token.
func (a *accounts) refresh(client OAuthClient, refresh string) *reply {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.current {
		if refresh != "" && t.client == client.ID && subtle.ConstantTimeCompare([]byte(t.refresh), []byte(refresh)) == 1 && !t.user.inactive {
			return a.tokenReply(a.renew(client, t.user, t), "")
		}
	}
	return oauthRefused()
}

func (a *accounts) tokenReply(t *token, refresh string) *reply {
	left := t.expires.Sub(a.in.opt.Now())
	b := append(appendString([]byte(`{"access_token":`), t.access), ',')
	if refresh != "" {
		b = append(appendString(append(b, `"refresh_token":`...), refresh), ',')
	}
	b = append(b, `"scope":"useraccount","token_type":"Bearer","expires_in":`...)
	return jsonReply(http.StatusOK, append(b, seconds(left)+"}"...))
}

// ExpireTokens ends all access tokens; refresh tokens stay.
func (in *Instance) ExpireTokens() {
	a := in.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	past := in.opt.Now().Add(-time.Second)
	for _, t := range a.tokens {
		t.expires = past
	}
}
