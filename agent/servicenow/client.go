package servicenow

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Client talks to one instance. It is safe for concurrent use.
type Client struct {
	conf     Config
	base     *url.URL
	net      *network // nil with a Transport of the configuration
	login    *loginTransport
	sessions *sessions
	hold     *hold
	signals  *signals
	tokens   *tokenSource // nil without OAuth
	writes   *http.Client
	reads    *retryablehttp.Client
	closing  func()
	batch    batchState
	zone     atomic.Pointer[time.Location]
}

// New returns a client. It touches neither network nor disk. The error is of kind
// fault.Invalid and names the setting.
func New(conf Config) (*Client, error) {
	base, err := conf.validate()
	if err != nil {
		return nil, err
	}
	c := &Client{
		conf: conf, base: base,
		sessions: newSessions(conf.MaxParallel),
		hold:     &hold{now: time.Now},
		signals:  &signals{now: time.Now},
		closing:  func() {},
	}
	c.base.Path = strings.TrimSuffix(c.base.Path, "/")
	c.zone.Store(conf.UserZone)
	rt := conf.Transport
	if rt == nil {
		if c.net, err = newNetwork(&c.conf); err != nil {
			return nil, err
		}
		t := c.net.transport(&c.conf)
		rt, c.closing = t, t.CloseIdleConnections
	}
	if conf.OAuth != nil {
		c.tokens = newTokenSource(conf.OAuth, base, rt, &c.conf)
	}
	c.login = &loginTransport{c: c, next: rt}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.writes = &http.Client{Transport: c.login, CheckRedirect: noRedirect}
	c.reads = newReader(&c.conf, &http.Client{Transport: c.login, CheckRedirect: noRedirect})
	return c, nil
}

// Host returns the host name of the instance, for logs and reports.
func (c *Client) Host() string { return c.base.Host }

// SetUserZone tells the time zone of the agent's user, once it is known.
func (c *Client) SetUserZone(z *time.Location) { c.zone.Store(z) }

// ClearCookies forgets all sessions, so that the next request may reach another
// node of the instance.
func (c *Client) ClearCookies() { c.sessions.clear() }

// Close closes idle connections. Requests under way go on.
func (c *Client) Close() { c.closing() }
