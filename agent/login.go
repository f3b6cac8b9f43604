package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

// loginEvery is how often the agent's own user is looked at again: roles and
// time zone change rarely, and nothing breaks at once when they do.
const loginEvery = 24 * time.Hour

// watchLogin looks at the agent's own user on the instance until ctx ends. With
// its time zone, queries by date become exact; what is wrong with it is shown in
// status. Nothing waits for it: a link that fails is reported by intake.
func (in *instance) watchLogin(ctx context.Context, retry time.Duration) {
	for {
		wait := loginEvery
		u, err := in.client.CheckLogin(ctx)
		switch {
		case err == nil:
			if u.Zone != nil {
				in.client.SetUserZone(u.Zone)
			}
			in.mu.Lock()
			in.user = &u
			in.mu.Unlock()
		case errors.Is(err, servicenow.ErrForbidden) || errors.Is(err, servicenow.ErrNotFound) || errors.Is(err, servicenow.ErrFilterDropped):
			// Common, and no fault: the agent works without knowing its user.
			in.log.DebugContext(ctx, "own user cannot be read", slog.Any("err", err))
		default:
			wait = retry
			if ctx.Err() == nil {
				in.log.DebugContext(ctx, "own user not read", slog.Any("err", err))
			}
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// loginProblems names what is wrong with the agent's user. troubled says that
// requests of it fail: only then a missing role is more than a choice.
func (in *instance) loginProblems(troubled bool) []string {
	in.mu.Lock()
	u := in.user
	in.mu.Unlock()
	if u == nil {
		return nil
	}
	var list []string
	if u.LockedOut || !u.Active {
		list = append(list, fmt.Sprintf("user %s on %s is locked out or not active; unlock and activate it", u.Name, in.conf.Name))
	}
	if u.TimeZone != "" && u.Zone == nil {
		list = append(list, fmt.Sprintf("user %s on %s has the time zone %q, which is not known here; set it to GMT", u.Name, in.conf.Name, u.TimeZone))
	}
	switch {
	case u.RolesErr != nil:
		// Reading roles is a right that an agent does not need.
	case slices.Contains(u.Roles, "admin"):
		list = append(list, fmt.Sprintf("user %s on %s has the role admin, far more than an agent needs; give it mid_server instead", u.Name, in.conf.Name))
	case troubled && !slices.Contains(u.Roles, "mid_server"):
		list = append(list, fmt.Sprintf("user %s on %s lacks the role mid_server; give it that role, or one with read and create on ecc_queue", u.Name, in.conf.Name))
	}
	return list
}
