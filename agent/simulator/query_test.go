package simulator_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// noon is the clock of the query tests: 01:30 of the next day in Tokyo.
var noon = time.Date(2026, 11, 23, 16, 30, 0, 0, time.UTC)

func querySite(tb testing.TB, props map[string]string) *site {
	tb.Helper()
	s := newSite(tb, simulator.Options{
		Properties: props,
		Now:        func() time.Time { return noon },
		Users: []simulator.User{
			{Name: "admin", Password: "admin", Roles: []string{"admin"}, WebServiceOnly: true},
			{Name: "tokyo", FullName: "Aiko T", Password: "tokyo", Roles: []string{"itil"}, WebServiceOnly: true, TimeZone: "Asia/Tokyo"},
			{Name: "mid", Password: "mid", Roles: []string{"mid_server"}, WebServiceOnly: true},
		},
	})
	users, err := s.Query("sys_user", "user_name=tokyo")
	if err != nil {
		tb.Fatal(err)
	}
	me := users[0]["sys_id"]
	for _, r := range []simulator.Record{
		{"short_description": "a printer", "state": "1", "priority": "10", "assigned_to": me, "last_discovered": ""},
		{"short_description": "b printer jam", "state": "2", "priority": "2", "closed_at": "2026-11-20 10:00:00", "assigned_to": "junk"},
		{"short_description": "c network", "state": "2", "priority": "3", "opened_at": "2026-11-22 23:30:00", "correlation_id": "c network"},
		{"short_description": "d", "state": "6", "priority": "1", "close_code": "x", "close_notes": "y", "comments": "hello"},
	} {
		if _, err := s.Insert("incident", r); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func find(tb testing.TB, s *site, user, query string) string {
	tb.Helper()
	a := s.as(user).do(tb, "GET", table+"incident?sysparm_fields=short_description&sysparm_query="+url.QueryEscape(query), "")
	var out []string
	for _, r := range a.rows(tb) {
		out = append(out, r["short_description"].(string)[:1])
	}
	if !strings.Contains(query, "ORDERBY") {
		slices.Sort(out)
	}
	return strings.Join(out, "")
}

func TestEncodedQuery(t *testing.T) {
	t.Parallel()
	s := querySite(t, nil)
	for _, tc := range []struct{ query, want string }{
		{"", "abcd"},
		{"state=2", "bc"},
		{"state=2^priority=3", "c"},
		{"state=1^ORstate=6", "ad"},
		{"state=1^ORstate=2^priority<5", "bc"}, // a term after an OR chain binds to the whole chain
		{"state=2^priority=2^NQstate=6^EQ", "bd"},
		{"state!=2", "ad"},
		{"priority>2", "ac"}, // as numbers
		{"priority>=2^priority<=3", "bc"},
		{"priorityBETWEEN1@3", "bcd"},
		{"short_descriptionLIKEprinter", "ab"},
		{"short_description*printer", "ab"},
		{"short_descriptionNOT LIKEprinter", "cd"},
		{"short_description!*printer", "cd"},
		{"short_descriptionSTARTSWITHb", "b"},
		{"short_descriptionENDSWITHjam", "b"},
		{"short_description%network", "c"},
		{"stateIN1,6", "ad"},
		{"stateNOT IN1,6", "bc"},
		{"closed_atISEMPTY", "acd"},
		{"closed_atISNOTEMPTY", "b"},
		{"correlation_idEMPTYSTRING", "abd"},
		{"stateANYTHING", "abcd"},
		{"short_descriptionSAMEAScorrelation_id", "c"},
		{"short_descriptionNSAMEAScorrelation_id", "abd"},
		{"assigned_to.user_name=tokyo", "a"},
		{"assigned_toLIKEAiko", "a"}, // references compare the display name
		{"assigned_to=javascript:gs.getUserID()", "a"},
		{"assigned_to.user_name=javascript:gs.getUserName()", "a"},
		{"assigned_toDYNAMIC90d1921e5f510100a9ad2572f2b477fe", "a"},
		{"sys_class_nameINSTANCEOFtask", "abcd"},
		{"sys_class_nameINSTANCEOFsc_task", ""},
		{"123TEXTQUERY321=printer jam", "b"},
		{"ORDERBYpriority", "dbca"},
		{"ORDERBYDESCpriority", "acbd"},
		{"ORDERBYstate^ORDERBYDESCpriority", "acbd"},
		{"stateIN1,2^ORDERBYDESCshort_description", "cba"},
		// What makes no sense is dropped, and the rest runs.
		{"bogus=1", "abcd"},
		{"bogus=1^state=2", "bc"},
		{"stateEQUALS2", "abcd"},
		{"short_description.name=x^state=1", "a"},
		{"state=javascript:new Evil()^priority=1", "d"},
		{"state=2^ORbogus=1", "bc"},
		{"opened_atON", "abcd"},
		// Nothing escapes a caret.
		{"short_description=a^^printer", ""},
	} {
		if got := find(t, s, "tokyo", tc.query); got != tc.want {
			t.Errorf("%q finds %q, want %q", tc.query, got, tc.want)
		}
	}
}

func TestDatesAreReadInTheCallersZone(t *testing.T) {
	t.Parallel()
	s := querySite(t, nil)
	for _, tc := range []struct{ user, query, want string }{
		// c was opened at 23:30 UTC, which is 08:30 of the next day in Tokyo.
		{"admin", "opened_at<2026-11-23", "c"},
		{"tokyo", "opened_at<2026-11-23", ""},
		{"tokyo", "opened_at<2026-11-23 08:31:00", "c"},
		{"tokyo", "opened_at=javascript:gs.dateGenerate('2026-11-23','08:30:00')", "c"},
		{"admin", "opened_at<javascript:gs.beginningOfToday()", "c"},
		{"tokyo", "opened_at<javascript:gs.beginningOfToday()", "c"},
		{"tokyo", "opened_at>=javascript:gs.daysAgoStart(0)", "abd"}, // Tokyo's day began at 15:00 UTC
		{"tokyo", "opened_at>=javascript:gs.daysAgoStart(1)", "abcd"},
		{"tokyo", "opened_atRELATIVELT@hour@ago@3", "c"},
		{"tokyo", "closed_atBETWEEN2026-11-20 18:59:59@2026-11-20 19:00:01", "b"},
		{"tokyo", "opened_atONx@javascript:gs.daysAgoStart(0)@javascript:gs.daysAgoEnd(0)", "abd"},
	} {
		if got := find(t, s, tc.user, tc.query); got != tc.want {
			t.Errorf("%s: %q finds %q, want %q", tc.user, tc.query, got, tc.want)
		}
	}
	a := s.as("tokyo").do(t, "GET", table+"incident?sysparm_query=short_descriptionLIKEnetwork&sysparm_fields=opened_at&sysparm_display_value=all", "")
	wantRow := map[string]any{"opened_at": map[string]any{"display_value": "2026-11-23 08:30:00", "value": "2026-11-22 23:30:00"}}
	if diff := cmp.Diff(wantRow, a.rows(t)[0]); diff != "" {
		t.Error(diff)
	}
}

func TestInvalidQueryReturnsNoRowsByProperty(t *testing.T) {
	t.Parallel()
	s := querySite(t, map[string]string{"glide.invalid_query.returns_no_rows": "true"})
	if got := find(t, s, "tokyo", "bogus=1^state=2"); got != "" {
		t.Errorf("got %q", got)
	}
	if got := find(t, s, "tokyo", "state=2"); got != "bc" {
		t.Errorf("got %q", got)
	}
}

func TestRelatedListQuery(t *testing.T) {
	t.Parallel()
	s := querySite(t, nil)
	req, err := s.Insert("sc_request", simulator.Record{"short_description": "r"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Insert("sc_req_item", simulator.Record{"request": req, "quantity": "3"}); err != nil {
		t.Fatal(err)
	}
	for query, n := range map[string]int{
		"RLQUERYsc_req_item.request,>=1^ENDRLQUERY":            1,
		"RLQUERYsc_req_item.request,=0^ENDRLQUERY":             0,
		"RLQUERYsc_req_item.request,>=1^quantity=2^ENDRLQUERY": 0,
		"RLQUERYsc_req_item.request,>=1^quantity=3^ENDRLQUERY": 1,
		"stage=none^RLQUERYsc_req_item.request,>=1^ENDRLQUERY": 0,
	} {
		if got, err := s.Count("sc_request", query); err != nil || got != n {
			t.Errorf("%s: %d %v, want %d", query, got, err, n)
		}
	}
}

// The ecc_queue is answered from an index; whatever the query, the answer must
// be that of a plain scan.
func TestIndexAgreesWithScan(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Seed: 7})
	var ids []string
	for i := range 2000 {
		ids = append(ids, s.PutOutput(simulator.Output{
			Agent: []string{edge, "mid.server.b"}[i%2], Topic: []string{"x", "y", "z"}[i%3], Priority: []string{"2", "0", "1"}[i%5%3],
		}))
	}
	for i := 0; i < len(ids); i += 3 {
		if err := s.Update("ecc_queue", ids[i], simulator.Record{"state": []string{"processing", "processed", "error"}[i%9/3]}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(ids); i += 17 {
		s.Delete("ecc_queue", ids[i])
	}
	s.RunAgain(ids[3])
	all, err := s.Query("ecc_queue", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"agent=" + edge, "queue=output^state=ready", "agent=" + edge + "^queue=output^state=ready", "agent=" + edge + "^stateINready,error^topic=x"} {
		for _, order := range []string{"^ORDERBYpriority^ORDERBYsequence", "^ORDERBYpriority^ORDERBYsequence^ORDERBYsys_id", "^ORDERBYDESCsequence"} {
			// A second, empty group forces the scan: it matches nothing more.
			fast, err1 := s.Query("ecc_queue", q+order)
			slow, err2 := s.Query("ecc_queue", q+order+"^NQsys_id=none")
			if err1 != nil || err2 != nil || len(fast) == 0 || len(fast) == len(all) {
				t.Fatal(len(fast), len(slow), err1, err2)
			}
			if diff := cmp.Diff(slow, fast); diff != "" {
				t.Fatalf("%s%s: index and scan differ", q, order)
			}
		}
	}
}

// A page of a backlog is filtered first and then cut, from the index too.
func TestPagesOfFilteredBacklog(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	for i := range 10 {
		s.PutOutput(simulator.Output{Agent: edge, Topic: []string{"x", "y"}[i%2], Name: string(rune('0' + i))})
	}
	for filter, want := range map[string]string{"": "34", "^topic=y": "79"} {
		q := url.QueryEscape("agent=" + edge + "^queue=output^state=ready" + filter + "^ORDERBYpriority^ORDERBYsequence")
		a := s.do(t, "GET", table+"ecc_queue?sysparm_fields=name&sysparm_limit=2&sysparm_offset=3&sysparm_query="+q, "")
		got := ""
		for _, r := range a.rows(t) {
			got += r["name"].(string)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", filter, got, want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"state=1^ORstate=2^NQpriority>1^ORDERBYnumber", "RLQUERYtask.parent,>=1^x^ENDRLQUERY", "opened_atONx@javascript:gs.daysAgo(1)@y", "a.b.c=1^^^", "123TEXTQUERY321=x y"} {
		f.Add(q)
	}
	s := querySite(f, nil)
	f.Fuzz(func(t *testing.T, q string) {
		if a := s.as("tokyo").do(t, "GET", table+"incident?sysparm_query="+url.QueryEscape(q), ""); a.code != 200 {
			t.Fatalf("%q: %d %s", q, a.code, a.body)
		}
	})
}
