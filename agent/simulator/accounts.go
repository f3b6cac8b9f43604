package simulator

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// account is a user that may log in.
type account struct {
	id, name string
	hash     [sha256.Size]byte
	roles    []string
	admin    bool
	zone     *time.Location
	wsOnly   bool // web_service_access_only
	inactive bool
}

// may reports whether the user has one of the roles.
func (a *account) may(roles []string) bool {
	return a.admin || slices.ContainsFunc(roles, func(r string) bool { return r == "*" || slices.Contains(a.roles, r) })
}

// accounts keeps users, sessions and tokens.
type accounts struct {
	in    *Instance
	users map[string]*account // fixed after New

	mu       sync.Mutex
	sessions map[string]*session
	age      []string // session ids, oldest first
	tokens   map[string]*token
	current  map[string]*token // by client and user
	clients  map[string]OAuthClient
}

func newAccounts(in *Instance) (*accounts, error) {
	a := &accounts{
		in: in, users: map[string]*account{}, sessions: map[string]*session{}, tokens: map[string]*token{},
		current: map[string]*token{}, clients: map[string]OAuthClient{},
	}
	for _, u := range in.opt.Users {
		zone, err := time.LoadLocation(u.TimeZone)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", u.Name, err)
		}
		a.users[u.Name] = &account{
			name: u.Name, hash: sha256.Sum256([]byte(u.Password)), roles: u.Roles, admin: slices.Contains(u.Roles, "admin"),
			zone: zone, wsOnly: u.WebServiceOnly, inactive: u.Inactive,
		}
	}
	for _, c := range in.opt.OAuthClients {
		a.clients[c.ID] = c
	}
	return a, nil
}

// check returns the account of a name and password, nil if they do not fit.
func (a *accounts) check(name, password string) *account {
	u := a.users[name]
	sum := sha256.Sum256([]byte(password))
	if u == nil || u.inactive || subtle.ConstantTimeCompare(sum[:], u.hash[:]) != 1 {
		return nil
	}
	return u
}

// basicAllowed is the gate that refuses Basic authentication to users who may
// log in interactively. The role must be held directly; admin does not imply it.
func (a *accounts) basicAllowed(u *account) bool {
	a.in.mu.RLock()
	defer a.in.mu.RUnlock()
	s := a.in.st
	const p = "glide.authenticate.basic_auth.restriction."
	switch {
	case s.property(p+"enforce", "false") != "true":
		return true
	case u.wsOnly && s.property(p+"allow_wsao", "true") == "true":
		return true
	}
	for role := range strings.SplitSeq(s.property(p+"allowed_roles", "snc_basic_auth_api_access"), ",") {
		if slices.Contains(u.roles, strings.TrimSpace(role)) {
			return true
		}
	}
	return false
}

// unauthenticated is the plain 401 that every kind of refusal looks like.
func unauthenticated() *reply {
	return failure(http.StatusUnauthorized, "User Not Authenticated", "Required to provide Auth information").
		set("WWW-Authenticate", `BASIC realm="Service-now"`)
}

// authenticate finds the user of a request: by Authorization, else by the
// cookies of a session together with its CSRF token. The session is nil when the
// request carried none that is alive.
func (a *accounts) authenticate(h http.Header, ck cookies) (*account, *session, *reply) {
	sess := a.session(ck.session)
	auth := h.Get("Authorization")
	if auth == "" {
		if sess == nil {
			return nil, nil, unauthenticated().set("X-Is-Logged-In", "false")
		}
		if subtle.ConstantTimeCompare([]byte(h.Get("X-UserToken")), []byte(sess.csrf)) != 1 {
			return nil, sess, unauthenticated().set("X-Is-Logged-In", "true").set("X-UserToken-Response", sess.csrf)
		}
		return sess.user, sess, nil
	}
	var u *account
	if tok, ok := strings.CutPrefix(auth, "Bearer "); ok {
		u = a.bearer(tok)
	} else if name, password, ok := (&http.Request{Header: h}).BasicAuth(); ok {
		if u = a.check(name, password); u != nil && !a.basicAllowed(u) {
			u = nil
		}
	}
	if u == nil {
		return nil, nil, unauthenticated().set("X-Is-Logged-In", "false")
	}
	if sess != nil && sess.user != u {
		sess = nil // the cookies of somebody else are replaced
	}
	return u, sess, nil
}

// secretHex returns n random bytes in hex, for cookies and tokens.
func secretHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
