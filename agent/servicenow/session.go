package servicenow

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// session is one session of the instance: its cookies, and the token against
// cross-site requests. An instance runs one transaction at a time in a session,
// so a session belongs to one request at a time.
type session struct {
	mu      sync.Mutex
	cookies map[string]cookie
	csrf    string
}

type cookie struct {
	value   string
	expires time.Time // zero: with the session
}

// The bounds on cookies that an instance may make us carry.
const (
	maxCookies    = 40
	maxCookieSize = 4096
)

// store takes over the cookies of an answer. An empty value or a passed date
// deletes: instances send glide_user and glide_user_session empty on every
// answer to clear them.
func (s *session) store(host string, cookies []*http.Cookie, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cookies {
		domain := strings.TrimPrefix(strings.ToLower(c.Domain), ".")
		if domain != "" && domain != host && !strings.HasSuffix(host, "."+domain) {
			continue // not for this origin
		}
		if c.Value == "" || c.MaxAge < 0 || c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(now) {
			delete(s.cookies, c.Name)
			continue
		}
		if len(c.Name)+len(c.Value) > maxCookieSize {
			continue
		}
		if _, known := s.cookies[c.Name]; !known && len(s.cookies) >= maxCookies {
			continue
		}
		expires := c.Expires
		if c.MaxAge > 0 {
			expires = now.Add(time.Duration(min(c.MaxAge, 1<<30)) * time.Second)
		}
		if s.cookies == nil {
			s.cookies = make(map[string]cookie)
		}
		s.cookies[c.Name] = cookie{c.Value, expires}
	}
}

// apply sets the cookies and the token on a request and reports whether there
// were cookies.
func (s *session) apply(h http.Header, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for name, c := range s.cookies {
		if !c.expires.IsZero() && !c.expires.After(now) {
			delete(s.cookies, name)
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(name + "=" + c.value)
	}
	if b.Len() > 0 {
		h.Set("Cookie", b.String())
	}
	if s.csrf != "" {
		h.Set("X-Usertoken", s.csrf)
	}
	return b.Len() > 0
}

func (s *session) setToken(t string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.csrf = t
}

// reset forgets the session.
func (s *session) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cookies, s.csrf = nil, ""
}

// sessions lends out sessions. The one that came back last is lent first, so
// that a serial poll loop stays in one session, while parallel senders have one
// each.
type sessions struct {
	slots chan struct{} // bounds the sessions in use
	mu    sync.Mutex
	free  []*session
}

func newSessions(n int) *sessions { return &sessions{slots: make(chan struct{}, n)} }

func (p *sessions) take(ctx context.Context) (*session, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		s := p.free[n-1]
		p.free = p.free[:n-1]
		return s, nil
	}
	return &session{}, nil
}

func (p *sessions) put(s *session) {
	p.mu.Lock()
	p.free = append(p.free, s)
	p.mu.Unlock()
	<-p.slots
}

// clear forgets all sessions that are not in use ("clear_cookies": the next
// request may reach another node).
func (p *sessions) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = nil
}
