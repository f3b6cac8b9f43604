package simulator

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maxSessions bounds the sessions that are kept: a client without a cookie jar
// makes one with every request.
const maxSessions = 10_000

// session is what a set of cookies stands for. One transaction runs in it at a
// time.
type session struct {
	id, route, store, csrf string
	user                   *account
	expires                time.Time // guarded by accounts.mu
	run                    chan struct{}
	waiting                atomic.Int32
}

// cookies are the cookies of a request that matter.
type cookies struct{ session string }

func readCookies(r *http.Request) cookies {
	var ck cookies
	for _, c := range r.Cookies() {
		if c.Name == "JSESSIONID" {
			ck.session = c.Value
		}
	}
	return ck
}

// session finds a session that is alive and prolongs it.
func (a *accounts) session(id string) *session {
	if id == "" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[id]
	now := a.in.opt.Now()
	if s == nil || now.After(s.expires) {
		delete(a.sessions, id)
		return nil
	}
	s.expires = now.Add(a.in.opt.SessionLifetime)
	return s
}

func (a *accounts) newSession(u *account) *session {
	random := secretHex(80)
	s := &session{
		id: strings.ToUpper(random[:32]), route: "glide." + random[32:64], store: strings.ToUpper(random[64:96]), csrf: random[96:],
		user: u, run: make(chan struct{}, 1),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.expires = a.in.opt.Now().Add(a.in.opt.SessionLifetime)
	for len(a.age) >= maxSessions {
		delete(a.sessions, a.age[0])
		a.age = a.age[1:]
	}
	a.sessions[s.id] = s
	a.age = append(a.age, s.id)
	return s
}

// DropSessions ends all sessions: their cookies are worth nothing from now on.
func (in *Instance) DropSessions() {
	a := in.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.sessions)
	a.age = nil
}

// enter waits for the turn of a request in its session. It reports false when
// too many wait already, or when the instance closes.
func (in *Instance) enter(s *session) bool {
	select {
	case s.run <- struct{}{}:
		return true
	default:
	}
	if int(s.waiting.Add(1)) > in.opt.SessionQueue {
		s.waiting.Add(-1)
		return false
	}
	defer s.waiting.Add(-1)
	select {
	case s.run <- struct{}{}:
		return true
	case <-in.done:
		return false
	}
}

func (s *session) leave() { <-s.run }

// setCookies gives the cookies of a new session to the client. glide_user and
// glide_user_session are sent empty, to clear them.
func (s *session) setCookies(r *reply, life time.Duration) {
	if r.header == nil {
		r.header = http.Header{}
	}
	for _, v := range []string{
		"JSESSIONID=" + s.id + "; Path=/; HttpOnly",
		"glide_user=; Max-Age=0; Expires=Thu, 01-Jan-1970 00:00:10 GMT; Path=/; HttpOnly",
		"glide_user_session=; Max-Age=0; Expires=Thu, 01-Jan-1970 00:00:10 GMT; Path=/; HttpOnly",
		"glide_user_route=" + s.route + "; Max-Age=2147483647; Path=/; HttpOnly",
		"glide_session_store=" + s.store + "; Max-Age=" + seconds(life) + "; Path=/; HttpOnly",
	} {
		r.header.Add("Set-Cookie", v)
	}
}
