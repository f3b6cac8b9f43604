package simulator

import (
	"errors"
	"fmt"
	"time"
)

// User is an account of the instance.
type User struct {
	Name     string // user_name
	FullName string // shown in journals and reference fields; Name when empty
	Password string
	Roles    []string // mid_server, itil, admin, ...
	TimeZone string   // IANA name; GMT when empty
	// WebServiceOnly is web_service_access_only: such a user may use Basic
	// authentication and cannot log in interactively.
	WebServiceOnly bool
	Inactive       bool
}

// OAuthClient is an application registry record.
type OAuthClient struct {
	ID, Secret string
	// User is the OAuth application user; without one the grant
	// client_credentials is refused.
	User     string
	Lifetime time.Duration // of an access token; 30 minutes when zero
}

// Options configure an instance. The zero value is a usable instance with the
// users admin, mid and itil (password equal to the name).
type Options struct {
	Users        []User
	OAuthClients []OAuthClient
	// Agents are names of ecc_agent records that exist and are Up.
	Agents []string
	// Tables are defined after the built-in ones; one of an existing name
	// replaces it.
	Tables []Table
	// ACL replaces the access rules of tables.
	ACL map[string]ACL
	// Properties set records of sys_properties.
	Properties map[string]string
	// Seed makes sys_ids and the choices of faults reproducible.
	Seed uint64

	// Now is the clock, time.Now when nil. After runs f once after a time and
	// returns a function that stops it, time.AfterFunc when nil.
	Now   func() time.Time
	After func(d time.Duration, f func()) (stop func() bool)

	// HeartbeatEvery is the period of the job MID Server Monitor, 5 minutes on a
	// real instance. Zero switches it off.
	HeartbeatEvery time.Duration
	// FailOver names, for an agent that goes Down, the agent that takes its jobs.
	FailOver map[string]string
	// RetryPolicies re-queue outputs that were answered with an error.
	RetryPolicies []RetryPolicy

	// RefuseBatch answers the Batch API as an instance without it does.
	RefuseBatch bool
	// BatchQuota ends a batch: what is left then is unserviced. 30 s when zero.
	BatchQuota time.Duration
	// SessionLifetime is the idle life of a session, 30 minutes when zero.
	SessionLifetime time.Duration
	// SessionQueue is the number of requests that may wait for one session; more
	// are answered 202 and dropped. 10 when zero.
	SessionQueue int
	// MaxBody bounds a request body in bytes, 32 MB when zero.
	MaxBody int64
	// KeepPayloads drops the payloads of all but the last so many processed
	// outputs and of their inputs. Zero keeps all.
	KeepPayloads int
	// LenientHeaders accepts requests without Accept and Content-Type, which are
	// documented to fail with 400.
	LenientHeaders bool
	// NoGzip never compresses a response, not even when the client asks for it.
	NoGzip bool

	// OnEvent is called with every change, in order within one transaction, by
	// the goroutine that made it and outside all locks.
	OnEvent func(Event)

	noEvents bool // set while the first records are loaded
}

// complete fills in the defaults and checks the rest.
func (o *Options) complete() error {
	if len(o.Users) == 0 {
		o.Users = []User{
			{Name: "admin", FullName: "System Administrator", Password: "admin", Roles: []string{"admin"}},
			{Name: "mid", FullName: "MID Server User", Password: "mid", Roles: []string{"mid_server"}, WebServiceOnly: true},
			{Name: "itil", FullName: "ITIL User", Password: "itil", Roles: []string{"itil"}, WebServiceOnly: true},
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	setDefault(&o.BatchQuota, 30*time.Second)
	setDefault(&o.SessionLifetime, 30*time.Minute)
	setDefault(&o.SessionQueue, 10)
	setDefault(&o.MaxBody, 32<<20)
	return o.check()
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o *Options) check() error {
	var errs []error
	seen := map[string]bool{}
	for _, u := range o.Users {
		if u.Name == "" || seen[u.Name] {
			errs = append(errs, fmt.Errorf("user %q: the name is empty or used twice", u.Name))
		}
		seen[u.Name] = true
		if _, err := time.LoadLocation(u.TimeZone); err != nil {
			errs = append(errs, fmt.Errorf("user %q: %w", u.Name, err))
		}
	}
	for _, c := range o.OAuthClients {
		if c.ID == "" || c.Secret == "" {
			errs = append(errs, errors.New("oauth client: id and secret are required"))
		}
		if c.User != "" && !seen[c.User] {
			errs = append(errs, fmt.Errorf("oauth client %q: no user %q", c.ID, c.User))
		}
	}
	return errors.Join(errs...)
}
