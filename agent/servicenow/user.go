package servicenow

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// User is the account that the agent uses on the instance.
type User struct {
	SysID    string
	Name     string // user_name
	TimeZone string // as the instance has it; "" means the instance's own
	// Zone is the time zone by that name; nil where it is empty or unknown here.
	Zone *time.Location
	// WebServiceOnly and Internal are "Web service access only" and "Internal
	// Integration User", which such an account should have.
	WebServiceOnly, Internal bool
	Active, LockedOut        bool
	// Roles are the names of the roles, inherited ones included, sorted. RolesErr
	// says why they could not be read, which is common.
	Roles    []string
	RolesErr error
}

// CheckLogin logs in and reads the agent's own user record and roles. A login
// that works for a user who may not read its own record gives an error of kind
// fault.Denied that wraps ErrForbidden or ErrNotFound.
func (c *Client) CheckLogin(ctx context.Context) (User, error) {
	q := Query{
		Where: []Condition{isMe("sys_id")}, Limit: 2,
		Fields: []string{"user_name", "time_zone", "web_service_access_only", "internal_integration_user", "active", "locked_out"},
	}
	if c.conf.Basic != nil {
		q.Where = []Condition{Eq("user_name", c.conf.Basic.Username)}
	}
	page, err := c.List(ctx, "sys_user", q)
	if err != nil {
		return User{}, err
	}
	a := attempt{op: "read own user on", subject: c.Host()}
	if page.FilterDropped || len(page.Records) > 1 {
		return User{}, fault.New(fault.Unavailable, a.op, a.subject, ErrFilterDropped).
			WithHint("give the user the right to read user_name in sys_user")
	}
	if len(page.Records) == 0 {
		return User{}, fault.New(fault.Denied, a.op, a.subject, ErrNotFound).
			WithHint("the login works; let the user read its own sys_user record to see time zone and roles")
	}
	r := page.Records[0]
	u := User{
		SysID: r["sys_id"], Name: r["user_name"], TimeZone: r["time_zone"],
		WebServiceOnly: r.Bool("web_service_access_only"), Internal: r.Bool("internal_integration_user"),
		Active: r.Bool("active"), LockedOut: r.Bool("locked_out"),
	}
	if u.TimeZone != "" {
		if z, err := time.LoadLocation(u.TimeZone); err == nil {
			u.Zone = z
		}
	}
	u.Roles, u.RolesErr = c.roles(ctx, u.SysID)
	return u, nil
}

func (c *Client) roles(ctx context.Context, user string) ([]string, error) {
	var names []string
	q := Query{Where: []Condition{Eq("user", user)}, Fields: []string{"role.name"}}
	for r, err := range c.All(ctx, "sys_user_has_role", q) {
		if err != nil {
			return nil, err
		}
		if n := strings.TrimSpace(r["role.name"]); n != "" {
			names = append(names, n)
		}
		if len(names) > 5000 {
			break
		}
	}
	if len(names) == 0 {
		return nil, fault.New(fault.Denied, "read roles of", user, errors.New("none are visible")).
			WithHint("look at the roles of the user on the instance")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// QueueRights says what the agent's user may do with ecc_queue; nil means allowed.
type QueueRights struct {
	Read error
	// Insert, Update and Delete are tried on a record that CheckQueue creates.
	Insert, Update, Delete error
	// Left is the sys_id of that record where it could not be deleted.
	Left string
}

// ErrNotTried stands in QueueRights for what could not be tried.
var ErrNotTried = errors.New("not tried")

// CheckQueue tries the rights on ecc_queue: reading always; and with write also
// inserting, updating and deleting, on an input of topic "Sallyport" in state
// processed, which no sensor and no agent takes.
func (c *Client) CheckQueue(ctx context.Context, agent string, write bool) QueueRights {
	r := QueueRights{Insert: ErrNotTried, Update: ErrNotTried, Delete: ErrNotTried}
	_, r.Read = c.List(ctx, "ecc_queue", Query{
		Where: []Condition{Eq("agent", agent), Eq("queue", "output")}, Fields: []string{"state"}, Limit: 1,
	})
	if !write {
		return r
	}
	rec, err := c.Insert(ctx, "ecc_queue", Record{
		"agent": agent, "topic": "Sallyport", "name": "doctor", "queue": "input", "state": "processed",
	})
	if r.Insert = err; err != nil {
		return r
	}
	id := rec["sys_id"]
	_, r.Update = c.Update(ctx, "ecc_queue", id, Record{"error_string": "written by the doctor"})
	if r.Delete = c.Delete(ctx, "ecc_queue", id); r.Delete != nil {
		r.Left = id
	}
	return r
}
