package simulator

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"
)

// Instance is a ServiceNow instance in this process. It is an http.Handler; all
// methods are safe for concurrent use.
type Instance struct {
	opt    Options
	mu     sync.RWMutex // guards st
	st     *store
	auth   *accounts
	feed   *feed
	faults *Faults
	hits   *hits

	life   sync.Mutex // guards timers and closed
	timers map[int]func() bool
	nextID int
	closed bool
	done   chan struct{}
}

// New makes an instance with its built-in tables. Close stops its timers.
func New(opt Options) (*Instance, error) {
	if err := opt.complete(); err != nil {
		return nil, fmt.Errorf("simulator options: %w", err)
	}
	in := &Instance{opt: opt, feed: newFeed(), hits: newHits(), timers: map[int]func() bool{}, done: make(chan struct{})}
	in.opt.noEvents = true
	st, err := newStore(&in.opt)
	if err != nil {
		return nil, fmt.Errorf("simulator tables: %w", err)
	}
	in.st = st
	st.heard = func() bool { return opt.OnEvent != nil || in.feed.heard() }
	if in.auth, err = newAccounts(in); err != nil {
		return nil, err
	}
	in.faults = newFaults(opt.Seed)
	in.seed()
	in.opt.noEvents = false
	if opt.HeartbeatEvery > 0 {
		in.after(opt.HeartbeatEvery, in.monitor)
	}
	return in, nil
}

// seed creates the records of users, agents and properties.
func (in *Instance) seed() {
	s := in.st
	users := s.tables["sys_user"]
	for _, u := range in.opt.Users {
		full := u.FullName
		if full == "" {
			full = u.Name
		}
		// None of these tables has a data policy that could refuse a record.
		r, _ := s.insert(users, system, "", users.changes(map[string]string{
			"user_name": u.Name, "name": full, "time_zone": u.TimeZone, "active": strconv.FormatBool(!u.Inactive),
			"web_service_access_only": strconv.FormatBool(u.WebServiceOnly), "internal_integration_user": strconv.FormatBool(u.WebServiceOnly),
		}))
		in.auth.users[u.Name].id = r.id()
	}
	agents := s.tables["ecc_agent"]
	for _, name := range in.opt.Agents {
		_, _ = s.insert(agents, system, "", agents.changes(map[string]string{
			"name": name, "status": "Up", "validated": "true", "last_refreshed": s.timestamp(),
		}))
	}
	props := map[string]string{
		"glide.authenticate.basic_auth.restriction.enforce":        "true",
		"glide.authenticate.basic_auth.restriction.allow_wsao":     "true",
		"glide.invalid_query.returns_no_rows":                      "false",
		"glide.oauth.allow.parameters.in.post.body.only":           "true",
		"glide.oauth.inbound.ropc.grant_type.disabled":             "false",
		"glide.oauth.inbound.client.credential.grant_type.enabled": "true",
		"glide.rest.batch.max.inputSize":                           "5",
		"glide.rest.batch.max.outputSize":                          "10",
		"com.glide.attachment.max_size":                            "1024",
	}
	maps.Copy(props, in.opt.Properties)
	t := s.tables["sys_properties"]
	for name, value := range props {
		_, _ = s.insert(t, system, "", t.changes(map[string]string{"name": name, "value": value}))
	}
}

// Close stops all timers and delays. Requests that wait return at once.
func (in *Instance) Close() {
	in.life.Lock()
	defer in.life.Unlock()
	if in.closed {
		return
	}
	in.closed = true
	close(in.done)
	for _, stop := range in.timers {
		stop()
	}
	in.timers = map[int]func() bool{}
}

// after runs f once after d unless the instance is closed before.
func (in *Instance) after(d time.Duration, f func()) {
	in.life.Lock()
	defer in.life.Unlock()
	if in.closed {
		return
	}
	id := in.nextID
	in.nextID++
	in.timers[id] = in.opt.After(d, func() {
		in.life.Lock()
		delete(in.timers, id)
		closed := in.closed
		in.life.Unlock()
		if !closed {
			f()
		}
	})
}

// wait blocks for d, or until the instance is closed. It does not care whether
// the client is still there: an instance goes on with a request whose client
// has left.
func (in *Instance) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	over := make(chan struct{})
	in.after(d, func() { close(over) })
	select {
	case <-over:
	case <-in.done:
	}
}

// write runs f with the tables locked, then publishes what it changed.
func (in *Instance) write(f func(*store)) {
	in.mu.Lock()
	f(in.st)
	events, later, dirty := in.st.takeEvents()
	in.mu.Unlock()
	for _, d := range later {
		in.after(d.after, func() { in.write(func(*store) { d.do() }) })
	}
	if !dirty {
		return
	}
	in.feed.publish(events)
	if in.opt.OnEvent != nil {
		for _, ev := range events {
			in.opt.OnEvent(ev)
		}
	}
}

func (in *Instance) monitor() {
	in.write(func(s *store) { s.heartbeat() })
	in.after(in.opt.HeartbeatEvery, in.monitor)
}

// Heartbeat runs the job MID Server Monitor once, now.
func (in *Instance) Heartbeat() { in.write(func(s *store) { s.heartbeat() }) }
