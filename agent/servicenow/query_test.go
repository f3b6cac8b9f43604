package servicenow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

func TestQueryEncoding(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for want, q := range map[string]sn.Query{
		"ORDERBYsys_id": {},
		"agent=mid.server.edge1^queue=output^stateINready,processing^ORDERBYpriority^ORDERBYDESCsequence^ORDERBYsys_id": {
			Where: []sn.Condition{sn.Eq("agent", "mid.server.edge1"), sn.Eq("queue", "output"), sn.In("state", "ready", "processing")},
			Order: []sn.Order{sn.Ascending("priority"), sn.Descending("sequence")},
		},
		"aISEMPTY^bISNOTEMPTY^cSTARTSWITHx y^dLIKEz^e!=1^fNOT INa,b^ORDERBYsys_id": {Where: []sn.Condition{
			sn.Eq("a", ""), sn.NotEmpty("b"), sn.StartsWith("c", "x y"), sn.Contains("d", "z"), sn.NotEq("e", "1"), sn.NotIn("f", "a", "b"),
		}},
		"a=1^ORb>5^ORDERBYsys_id": {Where: []sn.Condition{sn.AnyOf(sn.Eq("a", "1"), sn.Greater("b", sn.Number(5)))}},
		"ORDERBYDESCsys_id":       {Order: []sn.Order{sn.Descending("sys_id")}},
		"sys_created_on>=javascript:gs.dateGenerate('2026-07-01','14:00:00')^ORDERBYsys_id": {
			Where: []sn.Condition{sn.GreaterEq("sys_created_on", sn.Time(at))},
		},
	} {
		got, err := q.Encode(time.FixedZone("plus two", 7200))
		if err != nil || got != want {
			t.Errorf("encoded %q, %v; want %q", got, err, want)
		}
	}
}

func TestQueryRefusesWhatItCannotExpress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]sn.Condition{
		"caret":            sn.Eq("name", "a^ORactive=true"),
		"new line":         sn.Eq("name", "a\nb"),
		"zero byte":        sn.Contains("name", "a\x00"),
		"script":           sn.Eq("name", " JavaScript:gs.eventQueue('x')"),
		"comma in list":    sn.In("name", "a,b"),
		"empty list":       sn.In("name"),
		"longer operator":  sn.Less("name", sn.Text("=5")),
		"field":            sn.Eq("name=x^active", "a"),
		"field with space": sn.Eq("na me", "a"),
		"upper case field": sn.Eq("ORDERBYx", "a"),
		"time as equal":    sn.AnyOf(),
		"nested":           sn.AnyOf(sn.AnyOf(sn.Eq("a", "b"))),
		"empty comparison": sn.Greater("a", sn.Text("")),
		"broken UTF-8":     sn.Eq("a", "\xff"),
		"long":             sn.Eq("a", strings.Repeat("x", 5000)),
	} {
		_, err := sn.Query{Where: []sn.Condition{c}}.Encode(nil)
		if fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	r := sn.Record{"a": "x", "n": "10", "e": "", "t": "2026-07-01 12:00:00"}
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		cond sn.Condition
		want bool
	}{
		"equal":                   {sn.Eq("a", "x"), true},
		"other case":              {sn.Eq("a", "X"), false},
		"missing field":           {sn.Eq("z", "x"), false},
		"missing field not equal": {sn.NotEq("z", "x"), false},
		"missing field empty":     {sn.Empty("z"), false},
		"empty":                   {sn.Empty("e"), true},
		"not empty":               {sn.NotEmpty("e"), false},
		"in":                      {sn.In("a", "y", "x"), true},
		"not in":                  {sn.NotIn("a", "y", "x"), false},
		"number above text order": {sn.Greater("n", sn.Number(9)), true},
		"number":                  {sn.LessEq("n", sn.Number(10)), true},
		"no number":               {sn.Greater("a", sn.Number(1)), false},
		"text order":              {sn.Greater("a", sn.Text("w")), true},
		"same time":               {sn.GreaterEq("t", sn.Time(at)), true},
		"later":                   {sn.Greater("t", sn.Time(at)), false},
		"earlier than":            {sn.Less("t", sn.Time(at.Add(time.Second))), true},
		"any":                     {sn.AnyOf(sn.Eq("a", "q"), sn.Eq("e", "")), true},
		"none":                    {sn.AnyOf(sn.Eq("a", "q"), sn.Eq("a", "r")), false},
		"begins":                  {sn.StartsWith("t", "2026"), true},
	} {
		if got := (sn.Query{Where: []sn.Condition{c.cond}}).Matches(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestDatesCoverEveryZone reads date literals as an instance does, in the user's
// zone, and checks that no wanted row can be lost.
func TestDatesCoverEveryZone(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}
	// The last two are inside the hour that Berlin's and New York's clocks show twice.
	times := []string{"2026-07-01 12:00:00", "2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-11-01 05:30:00", "2026-11-01 06:30:00"}
	literal := func(q string) string {
		parts := strings.Split(q, "'")
		return parts[1] + " " + parts[3]
	}
	for _, name := range zones {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range times {
			at, err := sn.ParseTime(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, known := range []*time.Location{zone, nil} {
				low, errLow := sn.Query{Where: []sn.Condition{sn.GreaterEq("t", sn.Time(at))}}.Encode(known)
				high, errHigh := sn.Query{Where: []sn.Condition{sn.LessEq("t", sn.Time(at))}}.Encode(known)
				if errLow != nil || errHigh != nil {
					t.Fatal(errLow, errHigh)
				}
				from, _ := time.ParseInLocation(sn.TimeLayout, literal(low), zone)
				to, _ := time.ParseInLocation(sn.TimeLayout, literal(high), zone)
				if from.After(at) || to.Before(at) {
					t.Errorf("%s in %s: asks from %s to %s", text, name, from.UTC(), to.UTC())
				}
				if known != nil && (at.Sub(from) > time.Hour || to.Sub(at) > time.Hour) {
					t.Errorf("%s in %s is widened too much: %s to %s", text, name, from.UTC(), to.UTC())
				}
			}
		}
	}
}

func FuzzQueryCannotBeBrokenOut(f *testing.F) {
	for _, s := range []string{"x", "a^b", "javascript:x", "a,b", "=1", "x\ny", "ü"} {
		f.Add("name", s)
	}
	f.Fuzz(func(t *testing.T, field, value string) {
		for _, c := range []sn.Condition{
			sn.Eq(field, value), sn.Less(field, sn.Text(value)), sn.In(field, value), sn.Contains(field, value),
		} {
			q, err := sn.Query{Where: []sn.Condition{c}}.Encode(nil)
			if err != nil {
				continue
			}
			if strings.Count(q, "^") != 1 || !strings.HasSuffix(q, "^ORDERBYsys_id") ||
				strings.Contains(strings.ToLower(q), "=javascript:") || !strings.HasPrefix(q, field) {
				t.Errorf("%q %q is encoded as %q", field, value, q)
			}
		}
	})
}

func TestFormatTimeIsRead(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 7, 30, 0, 0, time.FixedZone("", 3600))
	back, err := sn.ParseTime(sn.FormatTime(at))
	if err != nil || !back.Equal(at) {
		t.Error(cmp.Diff(at, back), err)
	}
}
