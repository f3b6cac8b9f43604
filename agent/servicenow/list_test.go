package servicenow_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

func TestListAsksAsDocumented(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		want := map[string]string{
			"sysparm_query": "agent=a b&c^ORDERBYsys_id", "sysparm_fields": "sys_id,name,agent", "sysparm_limit": "7",
			"sysparm_offset": "14", "sysparm_no_count": "true", "sysparm_exclude_reference_link": "true",
			"sysparm_display_value": "false", "sysparm_suppress_pagination_header": "true",
		}
		got := map[string]string{}
		for k := range q {
			got[k] = q.Get(k)
		}
		if d := cmp.Diff(want, got); d != "" || r.URL.Path != "/api/now/table/ecc_queue" {
			t.Error(r.URL.Path, d)
		}
		user, password, _ := r.BasicAuth()
		if user != "agent" || password != "pa55" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("headers %v", r.Header)
		}
		answer(w, 200, `{"result":[{"sys_id":"1","agent":"a b&c","n":7,"b":true,"x":null,
			"ref":{"link":"https://h/api/now/table/sys_user/u1","value":"u1"},"shown":{"display_value":"A B","link":"l"}}]}`)
	})
	page, err := c.List(t.Context(), "ecc_queue", sn.Query{
		Where: []sn.Condition{sn.Eq("agent", "a b&c")}, Fields: []string{"name"}, Limit: 7, Offset: 14,
	})
	want := sn.Page{
		Records: []sn.Record{{"sys_id": "1", "agent": "a b&c", "n": "7", "b": "true", "x": "", "ref": "u1", "shown": "A B"}},
		Rows:    1, Total: -1, Next: 21,
	}
	if d := cmp.Diff(want, page); d != "" || err != nil {
		t.Error(d, err)
	}
}

// TestRowsOfOthersAreNeverTaken is an instance that ignores a term of the query.
func TestRowsOfOthersAreNeverTaken(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"result":[{"sys_id":"1","agent":"mid.server.edge1"},{"sys_id":"2","agent":"mid.server.other"},
			{"sys_id":"3"},{"sys_id":"4","agent":"MID.server.edge1"}]}`)
	})
	q := sn.Query{Where: []sn.Condition{sn.Eq("agent", "mid.server.edge1")}}
	page, err := c.List(t.Context(), "ecc_queue", q)
	if err != nil || len(page.Records) != 1 || page.Records[0]["sys_id"] != "1" || page.Foreign != 3 || !page.FilterDropped || page.Rows != 4 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestLetterCaseAndTimeZonesAreNoDroppedFilter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"result":[{"sys_id":"1","agent":"EDGE","t":"2026-07-01 13:00:00"},
			{"sys_id":"2","agent":"edge","t":"2026-07-01 05:00:00"},{"sys_id":"3","agent":"edge","t":"2026-07-01 12:00:00"}]}`)
	})
	q := sn.Query{Where: []sn.Condition{sn.Eq("agent", "edge"), sn.GreaterEq("t", sn.Time(at))}}
	page, err := c.List(t.Context(), "ecc_queue", q)
	if err != nil || len(page.Records) != 1 || page.Records[0]["sys_id"] != "3" || page.Foreign != 1 || page.FilterDropped {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestVersionOneAnswersNoRowsWith404(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, failure("No Record found", "x")) })
	page, err := c.List(t.Context(), "ecc_queue", sn.Query{})
	if err != nil || !page.Last || page.Rows != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestTooLargePageIsHalved(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("sysparm_limit"))
		answer(w, 200, rows(n, func(i int) map[string]any {
			return map[string]any{"sys_id": fmt.Sprint(i), "payload": strings.Repeat("x", 1000)}
		}))
	}, func(conf *sn.Config) { conf.MaxAnswer = 20_000 })
	page, err := c.List(t.Context(), "ecc_queue", sn.Query{Limit: 100, Offset: 5})
	if err != nil || len(page.Records) != 12 || page.Next != 17 {
		t.Errorf("%d records, next %d, %v", len(page.Records), page.Next, err)
	}
}

func TestMoreRowsThanAskedForAreRefused(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, rows(5000, func(i int) map[string]any { return map[string]any{"sys_id": fmt.Sprint(i)} }))
	})
	if _, err := c.List(t.Context(), "ecc_queue", sn.Query{Limit: 1}); !errors.Is(err, sn.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// table is an instance with rows 00..n-1, some of which access rules hide after
// the limit was applied.
func table(t *testing.T, n int, hidden func(i int) bool) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		v := r.URL.Query()
		limit, _ := strconv.Atoi(v.Get("sysparm_limit"))
		offset, _ := strconv.Atoi(v.Get("sysparm_offset"))
		from := 0
		if _, after, ok := strings.Cut(v.Get("sysparm_query"), "sys_id>"); ok {
			last, _, _ := strings.Cut(after, "^")
			i, _ := strconv.Atoi(last)
			from = i + 1
		}
		if v.Get("sysparm_no_count") == "false" {
			w.Header().Set("X-Total-Count", strconv.Itoa(max(n-from, 0)))
		}
		list := []map[string]any{}
		for i := from + offset; i < min(n, from+offset+limit); i++ {
			if !hidden(i) {
				list = append(list, map[string]any{"sys_id": fmt.Sprintf("%03d", i), "a": "b"})
			}
		}
		answer(w, 200, jsonText(map[string]any{"result": list}))
	}
}

func TestAllReadsPastWhatAccessRulesHide(t *testing.T) {
	t.Parallel()
	hidden := func(i int) bool { return i >= 10 && i < 35 || i%7 == 3 }
	var want []string
	for i := range 60 {
		if !hidden(i) {
			want = append(want, fmt.Sprintf("%03d", i))
		}
	}
	for name, order := range map[string][]sn.Order{"by key": nil, "by offset": {sn.Ascending("a")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, table(t, 60, hidden))
			var got []string
			q := sn.Query{Where: []sn.Condition{sn.Eq("a", "b")}, Order: order, Limit: 5}
			for r, err := range c.All(t.Context(), "ecc_queue", q) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, r["sys_id"])
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAllStopsWhenTheFilterIsIgnored(t *testing.T) {
	t.Parallel()
	asked := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		answer(w, 200, rows(5, func(i int) map[string]any { return map[string]any{"sys_id": fmt.Sprint(i), "a": "c"} }))
	})
	var last error
	for _, err := range c.All(t.Context(), "ecc_queue", sn.Query{Where: []sn.Condition{sn.Eq("a", "b")}, Limit: 5}) {
		last = err
	}
	if !errors.Is(last, sn.ErrFilterDropped) || asked != 1 {
		t.Errorf("after %d pages: %v", asked, last)
	}
}

func TestPathsAreChecked(t *testing.T) {
	t.Parallel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) })
	ctx := t.Context()
	_, e1 := c.Get(ctx, "a/../b", "1")
	_, e2 := c.Get(ctx, "incident", "../sys_user")
	_, e3 := c.Insert(ctx, "incident?x=", sn.Record{})
	_, e4 := c.Insert(ctx, "incident", sn.Record{"a\"b": "c"})
	_, e5 := c.List(ctx, "incident", sn.Query{Fields: []string{"a&b"}})
	_, e6 := c.Update(ctx, "incident", "", sn.Record{"a": "b"})
	e7 := c.Delete(ctx, "incident", "")
	_, e8 := c.List(ctx, "incident", sn.Query{Offset: -1})
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8} {
		if err == nil {
			t.Errorf("case %d was let through", i+1)
		}
	}
}
