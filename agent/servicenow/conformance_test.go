package servicenow_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// instance starts a simulated instance and returns it with a client that logs in
// as the user mid.
func instance(t *testing.T, opt simulator.Options, change ...func(*sn.Config)) (*simulator.Instance, *sn.Client) {
	t.Helper()
	in, err := simulator.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	srv := httptest.NewServer(in)
	t.Cleanup(srv.Close)
	conf := config(srv.URL)
	conf.Basic = &sn.Basic{Username: "mid", Password: secret("mid")}
	for _, f := range change {
		f(&conf)
	}
	return in, newClient(t, conf)
}

func input(name string) sn.Record {
	return sn.Record{"agent": "mid.server.edge1", "topic": "Command", "name": name, "queue": "input", "state": "ready", "payload": "<results/>"}
}

// TestOutcomesAreTrueUnderEveryFault inserts under each fault that the simulator
// knows, alone and in batches: what the client calls done is there, what it calls
// surely not done is not.
func TestOutcomesAreTrueUnderEveryFault(t *testing.T) {
	t.Parallel()
	for _, effect := range []simulator.Effect{
		simulator.Latency, simulator.FailBefore, simulator.FailAfter, simulator.Unauthorized, simulator.RateLimit, simulator.Semaphore,
		simulator.Unavailable, simulator.TooLarge, simulator.BadRequest, simulator.AcceptedDropped, simulator.AcceptedDone,
		simulator.CutBefore, simulator.CutAfter, simulator.CutLate, simulator.Truncate, simulator.Hibernate, simulator.LoginRedirect,
		simulator.LoginPage, simulator.MaxExecution,
	} {
		for name, rule := range map[string]simulator.Fault{
			"single": {Table: "ecc_queue", Method: "POST"}, "item": {Table: "ecc_queue", Method: "POST", Every: 3},
			"batch": {Path: "/api/now/v1/batch", Times: 1},
		} {
			t.Run(string(effect)+"/"+name, func(t *testing.T) {
				t.Parallel()
				in, c := instance(t, simulator.Options{Seed: 1})
				rule.Effect, rule.Late = effect, 50*time.Millisecond
				if _, err := in.Faults().Add(rule); err != nil {
					t.Fatal(err)
				}
				var out []sn.Response
				if name == "single" {
					rec, err := c.Insert(t.Context(), "ecc_queue", input("job0"))
					out = []sn.Response{{Record: rec, Err: err}}
				} else {
					var reqs []sn.Request
					for i := range 10 {
						reqs = append(reqs, sn.InsertRequest("ecc_queue", input(fmt.Sprint("job", i))))
					}
					out, _ = c.Batch(t.Context(), reqs)
				}
				if effect == simulator.CutLate {
					<-time.After(200 * time.Millisecond) // until it would have happened
				}
				for i, r := range out {
					n, err := in.Count("ecc_queue", fmt.Sprint("queue=input^name=job", i))
					if err != nil {
						t.Fatal(err)
					}
					kind := fault.KindOf(r.Err)
					switch {
					case r.Err == nil && n != 1:
						t.Errorf("job%d is called done, and is there %d times", i, n)
					case r.Err != nil && kind != fault.Unknown && n != 0:
						t.Errorf("job%d is called surely not done (%v), and is there: %v", i, kind, r.Err)
					case n > 1:
						t.Errorf("job%d is there %d times", i, n)
					}
				}
			})
		}
	}
}

func TestReadsGetThroughPassingFaults(t *testing.T) {
	t.Parallel()
	for _, effect := range []simulator.Effect{
		simulator.FailBefore, simulator.Semaphore, simulator.Unavailable, simulator.CutBefore, simulator.Truncate, simulator.AcceptedDropped,
	} {
		t.Run(string(effect), func(t *testing.T) {
			t.Parallel()
			in, c := instance(t, simulator.Options{}, func(conf *sn.Config) { conf.Retries = 3 })
			in.PutOutput(simulator.Output{Agent: "mid.server.edge1", Topic: "Command", Name: "true"})
			if _, err := in.Faults().Add(simulator.Fault{Method: "GET", Effect: effect, Times: 1}); err != nil {
				t.Fatal(err)
			}
			page, err := c.List(t.Context(), "ecc_queue", sn.Query{Where: []sn.Condition{sn.Eq("queue", "output")}})
			if err != nil || len(page.Records) != 1 {
				t.Errorf("%d records, %v", len(page.Records), err)
			}
		})
	}
}

func TestLifeOfARecord(t *testing.T) {
	t.Parallel()
	in, c := instance(t, simulator.Options{Users: []simulator.User{
		{Name: "mid", Password: "mid", Roles: []string{"mid_server", "admin"}, WebServiceOnly: true},
	}})
	ctx := t.Context()
	for i := range 25 {
		in.PutOutput(simulator.Output{Agent: fmt.Sprint("mid.server.edge", i%2), Topic: "Command", Name: fmt.Sprint(i)})
	}
	var names []string
	q := sn.Query{
		Where: []sn.Condition{
			sn.Eq("agent", "mid.server.edge1"), sn.In("state", "ready", "processing"), sn.Eq("queue", "output"),
			sn.GreaterEq("sys_created_on", sn.Time(time.Now().Add(-time.Hour))),
		},
		Order: []sn.Order{sn.Ascending("priority"), sn.Ascending("sequence")}, Fields: []string{"name", "priority"}, Limit: 4,
	}
	for r, err := range c.All(ctx, "ecc_queue", q) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, r["name"])
	}
	if d := cmp.Diff(strings.Fields("1 3 5 7 9 11 13 15 17 19 21 23"), names); d != "" {
		t.Error(d)
	}
	rec, err := c.Insert(ctx, "ecc_queue", input("x"), "topic", "sys_mod_count")
	if err != nil || rec["topic"] != "Command" {
		t.Fatal(rec, err)
	}
	id := rec["sys_id"]
	if got, err := c.Get(ctx, "ecc_queue", id); err != nil || got["payload"] != "<results/>" {
		t.Errorf("%v, %v", got, err)
	}
	if rec, err = c.Update(ctx, "ecc_queue", id, sn.Record{"error_string": `a "quoted" <text>`}, "error_string"); err != nil || rec["error_string"] != `a "quoted" <text>` {
		t.Errorf("%v, %v", rec, err)
	}
	if _, err := c.Get(ctx, "ecc_queue", strings.Repeat("0", 32)); !errors.Is(err, sn.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAttachmentsOfTheSimulator(t *testing.T) {
	t.Parallel()
	in, c := instance(t, simulator.Options{})
	id := in.PutOutput(simulator.Output{Agent: "mid.server.edge1", Topic: "Command", Name: "true"})
	content := strings.Repeat("payload ", 100_000)
	a, err := c.Attach(t.Context(), sn.Upload{
		Table: "ecc_queue", TableSysID: id, FileName: "payload.txt", ContentType: "text/plain", Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Attachments(t.Context(), "ecc_queue", id, "payload.txt")
	if err != nil || len(list) != 1 || list[0].SysID != a.SysID {
		t.Fatalf("%+v, %v", list, err)
	}
	var b strings.Builder
	if n, err := c.Download(t.Context(), a.SysID, &b, 1<<20); err != nil || n != 800_000 || b.String() != content {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestOAuthOfTheSimulator(t *testing.T) {
	t.Parallel()
	in, c := instance(t, simulator.Options{OAuthClients: []simulator.OAuthClient{{ID: "id", Secret: "s3", User: "mid"}}}, oauth("s3"))
	for range 2 {
		if _, err := c.List(t.Context(), "ecc_queue", sn.Query{}); err != nil {
			t.Fatal(err)
		}
		in.ExpireTokens()
		in.DropSessions()
	}
	u, err := c.CheckLogin(t.Context())
	if err != nil || u.Name != "mid" {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestDatesOfAUserFarAway asks as a user whose clock is hours away from UTC,
// without knowing so.
func TestDatesOfAUserFarAway(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata"} {
		in, c := instance(t, simulator.Options{Users: []simulator.User{
			{Name: "mid", Password: "mid", Roles: []string{"mid_server"}, WebServiceOnly: true, TimeZone: zone},
		}})
		in.PutOutput(simulator.Output{Agent: "mid.server.edge1", Topic: "Command", Name: "now"})
		count := func(cond sn.Condition) int {
			t.Helper()
			page, err := c.List(t.Context(), "ecc_queue", sn.Query{Where: []sn.Condition{sn.Eq("queue", "output"), cond}})
			if err != nil || page.FilterDropped || page.Foreign != 0 {
				t.Errorf("%s: %+v, %v", zone, page, err)
			}
			return len(page.Records)
		}
		check := func(when string) {
			t.Helper()
			now := time.Now()
			got := []int{
				count(sn.GreaterEq("sys_created_on", sn.Time(now.Add(-time.Minute)))), count(sn.Greater("sys_created_on", sn.Time(now.Add(time.Minute)))),
				count(sn.LessEq("sys_created_on", sn.Time(now.Add(time.Minute)))), count(sn.Less("sys_created_on", sn.Time(now.Add(-time.Minute)))),
			}
			if d := cmp.Diff([]int{1, 0, 1, 0}, got); d != "" {
				t.Errorf("%s, %s: %s", zone, when, d)
			}
		}
		check("zone unknown")
		z, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		c.SetUserZone(z)
		check("zone known")
	}
}

func TestBatchOfTheSimulator(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		in, c := instance(t, simulator.Options{RefuseBatch: refuse})
		out, err := c.Batch(t.Context(), inserts(150, "p"))
		for i, r := range out {
			if r.Err != nil || r.Record["sys_id"] == "" {
				t.Fatalf("refuse %v, %d: %v, %v", refuse, i, r.Record, r.Err)
			}
		}
		if n, countErr := in.Count("ecc_queue", "payload=p"); err != nil || n != 150 || countErr != nil {
			t.Errorf("refuse %v: %d records, %v, %v", refuse, n, err, countErr)
		}
	}
}
