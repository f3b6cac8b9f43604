package simulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func TestValueShapes(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	users, _ := s.Query("sys_user", "user_name=itil")
	id := users[0]["sys_id"]
	inc, err := s.Insert("incident", simulator.Record{"assigned_to": id, "caller_id": "no value"})
	if err != nil {
		t.Fatal(err)
	}
	link := "https://dev.example.test/api/now/table/sys_user/"
	for query, want := range map[string]map[string]any{
		"": {
			"assigned_to": map[string]any{"link": link + id, "value": id}, "caller_id": map[string]any{"link": link + "no value", "value": "no value"},
			"opened_by": "", "state": "1", "assigned_to.user_name": "itil", "opened_by.user_name": "",
		},
		"&sysparm_display_value=true": {
			"assigned_to": map[string]any{"display_value": "ITIL User", "link": link + id},
			"caller_id":   map[string]any{"display_value": "no value", "link": link + "no value"},
			"opened_by":   "", "state": "New", "assigned_to.user_name": "itil", "opened_by.user_name": "",
		},
		"&sysparm_display_value=all": {
			"assigned_to":           map[string]any{"display_value": "ITIL User", "value": id, "link": link + id},
			"caller_id":             map[string]any{"display_value": "no value", "value": "no value", "link": link + "no value"},
			"opened_by":             map[string]any{"display_value": "", "value": ""},
			"state":                 map[string]any{"display_value": "New", "value": "1"},
			"assigned_to.user_name": map[string]any{"display_value": "itil", "value": "itil"},
			"opened_by.user_name":   "",
		},
		"&sysparm_exclude_reference_link=true": {
			"assigned_to": id, "caller_id": "no value", "opened_by": "", "state": "1", "assigned_to.user_name": "itil", "opened_by.user_name": "",
		},
		"&sysparm_exclude_reference_link=true&sysparm_display_value=true": {
			"assigned_to": "ITIL User", "caller_id": "no value", "opened_by": "", "state": "New", "assigned_to.user_name": "itil", "opened_by.user_name": "",
		},
	} {
		fields := "?sysparm_fields=assigned_to,caller_id,opened_by,state,bogus,assigned_to.user_name,opened_by.user_name"
		got := s.as("itil").do(t, "GET", table+"incident/"+inc+fields+query, "").row(t)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
	v2 := s.as("itil").do(t, "GET", "/api/now/v2/table/incident/"+inc+"?sysparm_fields=assigned_to", "").body
	if !strings.Contains(v2, "/api/now/v2/table/sys_user/"+id) {
		t.Errorf("link of a v2 call: %s", v2)
	}
}

func TestCreateChangeDelete(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{ACL: map[string]simulator.ACL{"incident": {Read: []string{"itil"}, Insert: []string{"itil"}, Write: []string{"itil"}, Delete: []string{"itil"}}}}).as("itil")
	a := s.do(t, "POST", table+"incident", `{"short_description":"x","bogus":1,"priority":2,"sys_id":"mine","sys_mod_count":"9","work_notes":"first"}`)
	r := a.row(t)
	id, _ := r["sys_id"].(string)
	if a.code != 201 || a.header.Get("Location") != "https://dev.example.test"+table+"incident/"+id {
		t.Errorf("%d, Location %q", a.code, a.header.Get("Location"))
	}
	for k, v := range map[string]string{"number": "INC0010001", "priority": "2", "sys_mod_count": "0", "sys_created_by": "itil", "work_notes": "", "sys_class_name": "incident"} {
		if r[k] != v {
			t.Errorf("%s is %v, want %q", k, r[k], v)
		}
	}
	if r["bogus"] != nil || id == "mine" {
		t.Errorf("bogus %v, sys_id %v", r["bogus"], id)
	}
	r = s.do(t, "PUT", table+"incident/"+id, `{"urgency":"1"}`).row(t)
	if r["urgency"] != "1" || r["short_description"] != "x" || r["sys_mod_count"] != "1" {
		t.Errorf("PUT is no partial update: %v", r)
	}
	r = s.do(t, "PATCH", table+"incident/"+id, `{"urgency":"1"}`).row(t)
	if r["sys_mod_count"] != "1" {
		t.Errorf("a write that changes nothing counts: %v", r["sys_mod_count"])
	}
	s.header.Set("X-HTTP-Method-Override", "PATCH")
	s.header.Set("X-No-Response-Body", "true")
	if a = s.do(t, "POST", table+"incident/"+id, `{"urgency":"2","work_notes":"second"}`); a.code != 200 || a.body != "" {
		t.Errorf("%d %q", a.code, a.body)
	}
	s.header = http.Header{}
	note := s.do(t, "GET", table+"incident/"+id+"?sysparm_display_value=true&sysparm_fields=work_notes,urgency", "").row(t)
	text, _ := note["work_notes"].(string)
	if first, second := strings.Index(text, "(Work notes)\nfirst\n\n"), strings.Index(text, " - ITIL User (Work notes)\nsecond\n\n"); second < 0 || first < second || note["urgency"] != "2" {
		t.Errorf("journal %q", text)
	}
	if a = s.do(t, "DELETE", table+"incident/"+id, ""); a.code != 204 || a.body != "" {
		t.Errorf("%d %q", a.code, a.body)
	}
	s.do(t, "GET", table+"incident/"+id, "").fails(t, 404, `{"error":{"message":"No Record found","detail":"Record doesn't exist or ACL restricts the record retrieval"},"status":"failure"}`)
}

func TestErrorsAsDocumented(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	itil := s.as("itil")
	inc, _ := s.Insert("incident", simulator.Record{"short_description": "x"})
	out := s.PutOutput(simulator.Output{Agent: edge, Topic: "Command"})
	s.do(t, "GET", table+"nonsense", "").fails(t, 400, `"message":"Invalid table nonsense","detail":null`)
	s.do(t, "GET", "/api/now/nonsense", "").fails(t, 400, "Requested URI does not represent any resource")
	itil.do(t, "POST", table+"incident", `{"a":`).fails(t, 400, "Exception while reading request")
	itil.do(t, "POST", table+"incident/"+inc, `{}`).fails(t, 405, "failure")
	itil.do(t, "DELETE", table+"incident/"+inc, "").fails(t, 403, "ACL Exception Delete Failed due to security constraints")
	itil.do(t, "PATCH", table+"incident/"+inc, `{"state":"6"}`).fails(t, 403, `Data Policy Exception: \n\tThe following fields are mandatory: Resolution code, Close notes`)
	want(t, s.Record("incident", inc), "state", "1", "sys_mod_count", "0")
	if a := itil.do(t, "PATCH", table+"incident/"+inc, `{"state":"6","close_code":"Solved","close_notes":"y"}`); a.code != 200 {
		t.Errorf("%d %s", a.code, a.body)
	}
	itil.do(t, "GET", table+"ecc_queue", "").fails(t, 403, "Insufficient rights to query records")
	itil.do(t, "GET", table+"ecc_queue/"+out, "").fails(t, 404, "No Record found")
	itil.do(t, "POST", table+"ecc_queue", `{"queue":"input"}`).fails(t, 403, "ACL Exception Insert Failed")
	s.do(t, "PATCH", table+"ecc_queue/"+out, `{"state":"processing"}`).fails(t, 403, "ACL Exception Update Failed")
	s.do(t, "GET", "/api/now/v1/table/ecc_queue?sysparm_query=topic=none", "").fails(t, 404, "No Record found")
	s.do(t, "GET", "/api/now/v2/table/ecc_queue?sysparm_query=topic=none", "").fails(t, 200, `{"result":[]}`)
	for header, code := range map[string]int{"Accept": 400, "Content-Type": 400} {
		req := s.request(t, "POST", table+"ecc_queue", `{}`)
		req.Header.Del(header)
		resp, err := s.client.Do(req)
		if err != nil || resp.StatusCode != code {
			t.Errorf("without %s: %v %v", header, resp.StatusCode, err)
		}
		resp.Body.Close()
	}
	s.header = http.Header{"Accept": {"text/csv"}}
	s.do(t, "GET", table+"ecc_queue", "").fails(t, 406, "failure")
	s.header = http.Header{"Content-Type": {"text/plain"}}
	s.do(t, "POST", table+"ecc_queue", "x").fails(t, 415, "failure")
}

func TestPagingAndHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	s.PutOutputs(make([]simulator.Output, 5))
	q := table + "ecc_queue?sysparm_fields=sequence&sysparm_limit=2&sysparm_query=" + url.QueryEscape("queue=output^ORDERBYsequence")
	a := s.do(t, "GET", q+"&sysparm_offset=2", "")
	if len(a.rows(t)) != 2 || a.header.Get("X-Total-Count") != "5" {
		t.Errorf("%s, total %s", a.body, a.header.Get("X-Total-Count"))
	}
	var rels []string
	for part := range strings.SplitSeq(a.header.Get("Link"), ",") {
		addr, rel, _ := strings.Cut(part, ">;rel=")
		u, err := url.Parse(addr[1:])
		if err != nil || u.Query().Get("sysparm_fields") != "sequence" {
			t.Fatal(part, err)
		}
		rels = append(rels, strings.Trim(rel, `"`)+u.Query().Get("sysparm_offset"))
	}
	if got := strings.Join(rels, " "); got != "first0 prev0 next4 last4" {
		t.Errorf("Link: %s", got)
	}
	if l := s.do(t, "GET", q+"&sysparm_offset=4", "").header.Get("Link"); strings.Contains(l, "next") {
		t.Errorf("next on the last page: %s", l)
	}
	a = s.do(t, "GET", q+"&sysparm_suppress_pagination_header=true", "")
	if a.header.Get("Link") != "" || a.header.Get("X-Total-Count") != "5" {
		t.Errorf("%v", a.header)
	}
	if a = s.do(t, "GET", q+"&sysparm_no_count=true", ""); a.header.Get("X-Total-Count") != "" {
		t.Errorf("%v", a.header)
	}
	if a = s.do(t, "GET", q+"&sysparm_limit=9223372036854775807&sysparm_offset=9223372036854775807", ""); a.code != 200 {
		t.Errorf("huge numbers: %d", a.code)
	}
	if a = s.do(t, "HEAD", q, ""); a.code != 200 || a.body != "" || a.header.Get("X-Total-Count") != "5" {
		t.Errorf("HEAD: %d %q %v", a.code, a.body, a.header)
	}
	if a = s.do(t, "GET", table+"ecc_queue?queue=output&priority=Standard&sysparm_limit=3", ""); len(a.rows(t)) != 3 {
		t.Errorf("bare pairs: %s", a.body)
	}
}

// A page is cut by ACLs after the limit, so it may be short or empty while more
// rows exist.
func TestLimitAppliesBeforeACLs(t *testing.T) {
	t.Parallel()
	acl := simulator.ACL{Read: []string{"mid_server"}, ReadIf: "agent=" + edge}
	s := newSite(t, simulator.Options{ACL: map[string]simulator.ACL{"ecc_queue": acl}})
	for i := range 6 {
		s.PutOutput(simulator.Output{Agent: []string{"mid.server.b", edge}[i/3]})
	}
	a := s.do(t, "GET", table+"ecc_queue?sysparm_limit=4&sysparm_query=ORDERBYsequence", "")
	if len(a.rows(t)) != 1 || a.header.Get("X-Total-Count") != "6" {
		t.Errorf("%d rows of %s", len(a.rows(t)), a.header.Get("X-Total-Count"))
	}
	hidden, _ := s.Query("ecc_queue", "agent=mid.server.b")
	s.do(t, "GET", table+"ecc_queue/"+hidden[0]["sys_id"], "").fails(t, 404, "No Record found")
	inc, _ := s.Insert("incident", simulator.Record{"comments": "secret"})
	a = s.as("itil").do(t, "GET", table+"sys_journal_field?sysparm_query=element_id="+inc, "")
	if len(a.rows(t)) != 0 || a.header.Get("X-Total-Count") != "1" {
		t.Errorf("journal: %s of %s", a.body, a.header.Get("X-Total-Count"))
	}
}

func TestChildTablesAreFoundThroughTheirParents(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id, err := s.Insert("cmdb_ci_linux_server", simulator.Record{"name": "h1", "cpu_count": "8", "kernel_release": "6.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cmdb_ci", "cmdb_ci_server", "cmdb_ci_linux_server"} {
		r := s.as("itil").do(t, "GET", table+name+"?sysparm_query=name=h1", "").rows(t)
		_, hasCPU := r[0]["cpu_count"] // the columns of a child do not show through its parent
		if len(r) != 1 || r[0]["sys_id"] != id || r[0]["sys_class_name"] != "cmdb_ci_linux_server" || hasCPU != (name != "cmdb_ci") {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestInputDisplayValue(t *testing.T) {
	t.Parallel()
	s := querySite(t, nil).as("tokyo")
	a := s.do(t, "POST", table+"incident?sysparm_input_display_value=true", `{"state":"In Progress","closed_at":"2026-11-24 09:00:00"}`)
	if r := a.row(t); r["state"] != "2" || r["closed_at"] != "2026-11-24 00:00:00" {
		t.Errorf("%v", r)
	}
}

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id := s.PutOutput(simulator.Output{Agent: edge, Name: strings.Repeat("ä", 121)})
	want(t, s.Record("ecc_queue", id), "name", strings.Repeat("ä", 120))
}

func TestOddTextSurvives(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	text := "\x00\x01\"\\\r\n\t<>&\u2028 é 🜚 \x7f"
	id := s.PutOutput(simulator.Output{Agent: edge, Payload: text + "\xff!"})
	got := s.do(t, "GET", table+"ecc_queue/"+id, "").row(t)["payload"]
	if got != text+"\ufffd!" {
		t.Errorf("got %q", got)
	}
}

func TestUpdatedOnFollowsTheClock(t *testing.T) {
	t.Parallel()
	at := noon
	s := newSite(t, simulator.Options{Now: func() time.Time { return at }})
	id := s.PutOutput(simulator.Output{Agent: edge})
	at = at.Add(90 * time.Second)
	s.Cancel(id)
	want(t, s.Record("ecc_queue", id), "sys_created_on", "2026-11-23 16:30:00", "sys_updated_on", "2026-11-23 16:31:30", "sys_updated_by", "admin")
}
