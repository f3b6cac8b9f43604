package servicenow_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

func TestCheckLogin(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query().Get("sysparm_query")
		switch {
		case strings.HasSuffix(r.URL.Path, "/sys_user") && strings.HasPrefix(q, "user_name=agent^"):
			answer(w, 200, `{"result":[{"sys_id":"u1","user_name":"agent","time_zone":"Europe/Berlin",
				"web_service_access_only":"true","internal_integration_user":"false","active":"true","locked_out":"false"}]}`)
		case strings.HasSuffix(r.URL.Path, "/sys_user_has_role") && strings.HasPrefix(q, "user=u1") && !strings.Contains(q, "sys_id>"):
			answer(w, 200, `{"result":[{"sys_id":"1","user":"u1","role.name":"mid_server"},{"sys_id":"2","user":"u1","role.name":"import_admin"}]}`)
		default:
			answer(w, 200, `{"result":[]}`)
		}
	})
	u, err := c.CheckLogin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u.Zone == nil || u.Zone.String() != "Europe/Berlin" || !u.WebServiceOnly || u.Internal || !u.Active {
		t.Errorf("%+v", u)
	}
	if d := cmp.Diff([]string{"import_admin", "mid_server"}, u.Roles); d != "" || u.RolesErr != nil {
		t.Error(d, u.RolesErr)
	}
}

func TestCheckLoginOfAClientWithoutAName(t *testing.T) {
	t.Parallel()
	o := &tokens{}
	two := false
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if o.serve(w, r) {
			return
		}
		if q := r.URL.Query().Get("sysparm_query"); strings.HasSuffix(r.URL.Path, "/sys_user") && q != "sys_id=javascript:gs.getUserID()^ORDERBYsys_id" {
			t.Errorf("query %q", q)
		}
		if two {
			answer(w, 200, `{"result":[{"sys_id":"u1"},{"sys_id":"u2"}]}`)
			return
		}
		answer(w, 200, `{"result":[]}`)
	}, oauth("s3"))
	if _, err := c.CheckLogin(t.Context()); !errors.Is(err, sn.ErrNotFound) {
		t.Errorf("no visible user gave %v", err)
	}
	two = true
	if _, err := c.CheckLogin(t.Context()); !errors.Is(err, sn.ErrFilterDropped) {
		t.Errorf("two users gave %v", err)
	}
}

func TestCheckQueue(t *testing.T) {
	t.Parallel()
	var calls []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, r.Method)
		switch r.Method {
		case http.MethodGet:
			answer(w, 200, `{"result":[]}`)
		case http.MethodPost:
			answer(w, 201, `{"result":{"sys_id":"abc"}}`)
		case http.MethodPatch:
			answer(w, 200, `{"result":{"sys_id":"abc"}}`)
		default:
			answer(w, 403, failure("Operation Failed", "ACL Exception Delete Failed"))
		}
	})
	r := c.CheckQueue(t.Context(), "mid.server.edge1", false)
	if r.Read != nil || !errors.Is(r.Insert, sn.ErrNotTried) || len(calls) != 1 {
		t.Errorf("%+v, %v", r, calls)
	}
	r = c.CheckQueue(t.Context(), "mid.server.edge1", true)
	if r.Read != nil || r.Insert != nil || r.Update != nil || !errors.Is(r.Delete, sn.ErrForbidden) || r.Left != "abc" {
		t.Errorf("%+v", r)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
		h.Set("Server-Timing", `t;desc="0a1b", sem_wait;dur=4000, sesh_wait;dur=0`)
		h.Set("X-RateLimit-Limit", "100")
		h.Set("X-RateLimit-Rule", "rule1")
		h.Set("X-RateLimit-Reset", "1700000000")
		answer(w, 429, "")
	})
	skew, err := c.CheckClock(t.Context())
	if err != nil || (skew+10*time.Minute).Abs() > 3*time.Second {
		t.Errorf("skew %v, %v", skew, err)
	}
	s := c.Signals()
	if s.SemaphoreWait != time.Second || s.RateLimit != 100 || s.RateRule != "rule1" || s.Throttled != 1 || s.RateReset.Unix() != 1700000000 || s.LastAnswer.IsZero() {
		t.Errorf("%+v", s)
	}
}
