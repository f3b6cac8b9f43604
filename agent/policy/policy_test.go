package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/connectors"
)

// fake is a connector that only describes itself.
type fake struct{ d connectors.Descriptor }

func (f fake) Describe() connectors.Descriptor { return f.d }

func (fake) Open(context.Context, connectors.Settings) (connectors.Session, error) {
	return nil, errors.New("not opened here")
}

func subjectOf(text string) connectors.Subject {
	words, err := connectors.Words(text)
	if err != nil {
		words = nil
	}
	return connectors.Subject{Text: text, Words: words}
}

func registry(tb testing.TB) *connectors.Registry {
	tb.Helper()
	r, err := connectors.NewRegistry(
		fake{connectors.Descriptor{Name: "command", Implicit: true, Actions: []connectors.Action{{
			Name: "command.run", Topics: []string{"Command"},
			Subject: func(p connectors.Params) (connectors.Subject, error) { return subjectOf(p.String("name")), nil },
		}}}},
		fake{connectors.Descriptor{Name: "ldap", Actions: []connectors.Action{
			{
				Name: "ldap.user.move", Secrets: []string{"hidden"},
				Parameters: json.RawMessage(`{"type":"object","properties":{"dn":{},"count":{},"password":{},"hidden":{},"mode":{}}}`),
			},
			{Name: "ldap.user.read"},
		}}},
	)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func compile(tb testing.TB, platform string, rules ...policy.Rule) *policy.Policy {
	tb.Helper()
	p, err := policy.Compile(rules, registry(tb), policy.Options{Own: []string{"HeartbeatProbe"}, Platform: platform})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func command(text string) policy.Request {
	return policy.Request{Instance: "prod", Topic: "Command", Target: "command", Subject: subjectOf(text), Now: noon, Created: noon}
}

func names(patterns ...string) policy.Rule {
	return policy.Rule{Name: "r", Allow: []string{"command"}, Names: patterns}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, command string
		want             bool
	}{
		{"/opt/report.sh *", "/opt/report.sh daily", true},
		{"/opt/report.sh *", "/opt/report.sh a b c=1 /x/y:z@h,+", true},
		{"/opt/report.sh *", "/opt/report.sh", false},
		{"/opt/report.sh *", "/opt/report.sh --all", false},
		{"/opt/report.sh *", "/opt/report.sh a -rf", false},
		{"/opt/report.sh *", "/opt/report.sh ../x", false},
		{"/opt/report.sh *", "/opt/report.sh a..b", false},
		{"/opt/report.sh *", "/opt/report.shx a", false},
		{"/opt/report.sh *", "/opt/report.sh 'a b'", false},
		{"/opt/report.sh *", "/opt/report.sh ''", false},
		{"/opt/report.sh", "/opt/report.sh", true},
		{"/opt/report.sh", "  /opt/report.sh\t", true},
		{"/opt/report.sh", "/opt/report.sh x", false},
		{"/opt/report.sh", "/OPT/report.sh", false},
		{"/opt/r.sh --on=*", "/opt/r.sh --on=a.b", true},
		{"/opt/r.sh --on=*", "/opt/r.sh --on=", false},
		{"/opt/r.sh --on=*", "/opt/r.sh --on=-x", false},
		{"/opt/r.sh --on=*", "/opt/r.sh --on=a b", false},
		{"/opt/tools/*", "/opt/tools/x.sh", true},
		{"/opt/tools/*", "/opt/tools/../../bin/sh", false},
		{"/opt/tools/.*", "/opt/tools/../bin/sh", false},
		{"/opt/tools/*.sh *", "/opt/tools/a.sh x", true},
		{"/opt/tools/*.sh *", "/opt/tools/.sh x", false},
		{"/opt/t *-*-*", "/opt/t a-b-c", true},
		{"ls '*'", "ls '*'", true},
		{"ls '*'", "ls x", false},
		{"echo 'a b'", `echo "a b"`, true},
		{"echo *", "echo ünï", false},
		{`echo *`, `echo a\b`, false},
	} {
		d := compile(t, "linux", names(c.pattern)).Decide(command(c.command))
		if d.Allow != c.want {
			t.Errorf("%q with %q: allow %v, want %v (%s)", c.pattern, c.command, d.Allow, c.want, d.Reason)
		}
		if d.Grant.Shell {
			t.Errorf("%q grants a shell", c.pattern)
		}
	}
}

func TestWindowsPatterns(t *testing.T) {
	t.Parallel()
	p := compile(t, "windows", names(`C:\tools\report.exe *`))
	for text, want := range map[string]bool{
		`C:\tools\report.exe D:\data\x.txt`: true,
		`C:\tools\report.exe /delete`:       false,
		`C:\tools\report.exe \\evil\share`:  false,
		`C:\tools\report.exe ..\x`:          false,
		`C:\tools\report.exe a^b`:           false,
	} {
		if got := p.Decide(command(text)).Allow; got != want {
			t.Errorf("%s: allow %v, want %v", text, got, want)
		}
	}
}

func TestShellNeedsTheExactCommand(t *testing.T) {
	t.Parallel()
	p := compile(t, "linux", policy.Rule{Allow: []string{"Command"}, Names: []string{"ps | grep *"}, Shell: true})
	if d := p.Decide(command("ps | grep *")); !d.Allow || !d.Grant.Shell {
		t.Errorf("the exact command: %+v", d)
	}
	for _, text := range []string{"ps | grep x", "ps | grep * ", "ps | grep", "PS | grep *"} {
		if d := p.Decide(command(text)); d.Allow {
			t.Errorf("%q is allowed", text)
		}
	}
	if d := compile(t, "linux", names("ps *")).Decide(command("ps | grep x")); d.Allow {
		t.Error("a command for a shell is allowed by a rule without shell")
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	low, high := 2.0, 1.0
	for field, r := range map[string]policy.Rule{
		"allow":            {Allow: []string{"*"}},
		"allow ":           {Allow: []string{"l*"}},
		"allow  ":          {Allow: []string{"Comand"}, Names: []string{"x"}},
		"allow   ":         {Allow: []string{"Command"}},
		"allow    ":        {},
		"deny":             {Allow: []string{"ldap.*"}, Deny: []string{"ldap.*"}},
		"deny ":            {Deny: []string{"ldap.*"}, Shell: true, Names: []string{"x"}},
		"names":            names("*"),
		"names ":           names("*sh -c"),
		"names  ":          names("a; b"),
		"names   ":         names("a 'b"),
		"names    ":        names(""),
		"names     ":       names("/opt/../*"),
		"names      ":      names("a $HOME"),
		"shell":            {Allow: []string{"Command"}, Shell: true},
		"hosts":            {Allow: []string{"ldap.*"}, Hosts: []string{"*"}},
		"hosts ":           {Allow: []string{"ldap.*"}, Hosts: []string{"127.1"}},
		"hosts  ":          {Allow: []string{"ldap.*"}, Hosts: []string{"10.*.1"}},
		"when.a":           {Allow: []string{"ldap.*"}, When: map[string]policy.Condition{"a": {}}},
		"when.b":           {Allow: []string{"ldap.*"}, When: map[string]policy.Condition{"b": {Under: "nonsense"}}},
		"when.c":           {Allow: []string{"ldap.*"}, When: map[string]policy.Condition{"c": {Min: &low, Max: &high}}},
		"when.d":           {Allow: []string{"ldap.*"}, When: map[string]policy.Condition{"d": {Equals: []string{"a*"}}}},
		"when.e":           {Allow: []string{"ldap.*"}, When: map[string]policy.Condition{"e": {Pattern: "*"}}},
		"requeue":          {Allow: []string{"ldap.*"}, Requeue: "walk"},
		"effect":           {Allow: []string{"ldap.*"}, Effect: "recoverable"},
		"max_per_hour":     {Allow: []string{"ldap.*"}, MaxPerHour: -1},
		"max_age":          {Allow: []string{"ldap.*"}, MaxAge: -1},
		"limits":           {Allow: []string{"ldap.*"}, Limits: policy.Limits{Memory: -1}},
		"name":             {Name: "a\nb", Allow: []string{"ldap.*"}},
		"when.e plus text": {Allow: []string{"ldap.*"}, When: map[string]policy.Condition{"e plus text": {Pattern: "a b"}}},
	} {
		_, err := policy.Compile([]policy.Rule{r}, registry(t), policy.Options{})
		ps, ok := errors.AsType[policy.Problems](err)
		if !ok || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", field, err)
			continue
		}
		if want := strings.TrimRight(field, " "); ps[0].Field != want || ps[0].Hint == "" {
			t.Errorf("problem %+v, want it at %q with a hint", ps[0], want)
		}
	}
	if _, err := policy.Compile([]policy.Rule{{}, names("*")}, registry(t), policy.Options{}); strings.Count(err.Error(), "policy rule") != 2 {
		t.Errorf("not all problems at once: %v", err)
	}
	same := names("a")
	if _, err := policy.Compile([]policy.Rule{same, same}, registry(t), policy.Options{}); err == nil {
		t.Error("two rules of one name compile")
	}
}

func TestNothingIsAllowedByDefault(t *testing.T) {
	t.Parallel()
	p := compile(t, "linux")
	d := p.Decide(command("true"))
	if d.Allow || d.Rule != "" || !strings.Contains(d.Reason, `no rule allows "Command" "true"`) || d.Would == "" {
		t.Errorf("%+v", d)
	}
	if d := p.Decide(policy.Request{Topic: "NoSuch"}); d.Allow || d.Would != "" || !strings.Contains(d.Reason, "nothing here serves") {
		t.Errorf("unknown topic: %+v", d)
	}
	if d := p.Decide(policy.Request{Topic: "heartbeatprobe"}); !d.Allow {
		t.Errorf("the agent's own action: %+v", d)
	}
	if err := p.Commit(d); fault.KindOf(err) != fault.Denied {
		t.Errorf("commit of a denied job: %v", err)
	}
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	base := policy.Request{
		Instance: "prod", Action: "LDAP.user.move", Target: "corp", Host: "dc1.example.com", Credential: "admin", Now: noon,
		Params: connectors.Params{"dn": "CN=Ann\\, B.,OU=Staff,DC=example,DC=com", "count": "5", "mode": "fast", "list": []any{"a", "b"}},
	}
	lo, hi := 1.0, 5.0
	when := func(key string, c policy.Condition) policy.Rule {
		return policy.Rule{Name: "r", Allow: []string{"ldap.*"}, When: map[string]policy.Condition{key: c}}
	}
	rule := func(set func(*policy.Rule)) policy.Rule {
		r := policy.Rule{Name: "r", Allow: []string{"ldap.user.move"}}
		set(&r)
		return r
	}
	for i, c := range []struct {
		rule policy.Rule
		want bool
	}{
		{rule(func(*policy.Rule) {}), true},
		{rule(func(r *policy.Rule) { r.Instances = []string{"prod"} }), true},
		{rule(func(r *policy.Rule) { r.Instances = []string{"dev"} }), false},
		{rule(func(r *policy.Rule) { r.Targets = []string{"corp"} }), true},
		{rule(func(r *policy.Rule) { r.Targets = []string{"other"} }), false},
		{rule(func(r *policy.Rule) { r.Credentials = []string{"admin"} }), true},
		{rule(func(r *policy.Rule) { r.Credentials = []string{"guest"} }), false},
		{rule(func(r *policy.Rule) { r.Hosts = []string{"*.example.com"} }), true},
		{rule(func(r *policy.Rule) { r.Hosts = []string{"10.0.0.0/8"} }), false},
		{when("mode", policy.Condition{Equals: []string{"slow", "fast"}}), true},
		{when("mode", policy.Condition{Equals: []string{"FAST"}}), false},
		{when("mode", policy.Condition{Pattern: "f*"}), true},
		{when("mode", policy.Condition{Pattern: "x*"}), false},
		{when("missing", policy.Condition{Pattern: "x*"}), false},
		{when("count", policy.Condition{Min: &lo, Max: &hi}), true},
		{when("count", policy.Condition{Max: &lo}), false},
		{when("mode", policy.Condition{Max: &lo}), false},
		{when("dn", policy.Condition{Under: "ou=staff, dc=EXAMPLE,dc=com"}), true},
		{when("dn", policy.Condition{Under: "DC=com"}), true},
		{when("dn", policy.Condition{Under: "OU=taff,DC=example,DC=com"}), false},
		{when("mode", policy.Condition{Under: "DC=com"}), false},
		{when("list", policy.Condition{Equals: []string{"a", "b", "c"}}), true},
		{when("list", policy.Condition{Equals: []string{"a"}}), false},
	} {
		d := compile(t, "linux", c.rule).Explain(base)
		if d.Allow != c.want {
			t.Errorf("%d %+v: allow %v, want %v: %v", i, c.rule, d.Allow, c.want, d.Trace)
		}
		if len(d.Trace) != 1 || d.Trace[0].Fits != c.want || d.Trace[0].Why == "" || d.Trace[0].Decides != c.want {
			t.Errorf("%d trace %+v", i, d.Trace)
		}
	}
	asked := base
	asked.RunAs = "root"
	if compile(t, "linux", rule(func(*policy.Rule) {})).Decide(asked).Allow {
		t.Error("an account is granted that no rule names")
	}
	if d := compile(t, "linux", rule(func(r *policy.Rule) { r.RunAs = "root" })).Decide(asked); !d.Allow || d.Grant.RunAs != "root" {
		t.Errorf("run as: %+v", d)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"10.0.*", "10.0.3.4", true},
		{"10.0.*", "10.0.evil.example", false},
		{"10.0.*", "10.1.0.1", false},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]", true},
		{"127.0.0.1", "0x7f.1", false},
		{"127.0.0.1", "127.1", false},
		{"127.0.0.1", "2130706433", false},
		{"127.0.0.1", "127.0.0.01", false},
		{"127.0.0.1", "127.0.0.1.", true},
		{"db.example.com", "DB.example.com.", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "evil.com/.example.com", false},
		{"*.example.com", "evil.com#.example.com", false},
		{"*.example.com", "u@x.example.com", false},
		{"*.example.com", "x.ехample.com", false},
		{"*.example.com", "x.example.com:22", false},
		{"2001:db8::/32", "2001:DB8:0::1", true},
		{"fe80::1", "fe80::1%eth0", false},
		{"web*-prod.example.com", "web12-prod.example.com", true},
		{"web*-prod.example.com", "web-prod.example.com", false},
	} {
		h, err := policy.ParseHosts([]string{c.pattern})
		if err != nil {
			t.Fatal(c.pattern, err)
		}
		if got := h.Match(c.host); got != c.want {
			t.Errorf("%s with %s: %v, want %v", c.pattern, c.host, got, c.want)
		}
	}
}

func TestDenyWinsAndReadsGenerously(t *testing.T) {
	t.Parallel()
	allow := policy.Rule{Name: "all", Allow: []string{"Command"}, Names: []string{"/bin/rm *", "rm *", "/opt/x *", "'/bin/RM' *"}}
	shell := policy.Rule{Name: "shell", Allow: []string{"Command"}, Names: []string{"echo a; rm -rf b", "echo a|/bin/rm"}, Shell: true}
	deny := policy.Rule{Name: "no-rm", Deny: []string{"Command"}, Names: []string{"rm *", "rm"}}
	p := compile(t, "linux", allow, shell, deny)
	for _, text := range []string{"/bin/rm x", "rm x", "/bin/RM x", "echo a; rm -rf b", "echo a|/bin/rm"} {
		if d := p.Decide(command(text)); d.Allow || d.Rule != "no-rm" || d.Would != "" {
			t.Errorf("%q: %+v", text, d)
		}
	}
	if d := p.Decide(command("/opt/x rm")); !d.Allow {
		t.Errorf("a harmless command is denied: %+v", d)
	}
	odd := policy.Rule{Name: "net", Deny: []string{"*"}, Hosts: []string{"127.0.0.0/8"}}
	r := policy.Request{Action: "ldap.user.read", Host: "0x7f.1", Now: noon}
	if d := compile(t, "linux", odd, policy.Rule{Allow: []string{"ldap.*"}}).Decide(r); d.Allow || d.Rule != "net" {
		t.Errorf("an odd host escapes a deny rule: %+v", d)
	}
}

func TestHoldWinsOverAllow(t *testing.T) {
	t.Parallel()
	hold := policy.Rule{Name: "held", Allow: []string{"Command"}, Names: []string{"/opt/x *"}, Hold: true, MaxPerHour: 1}
	p := compile(t, "linux", names("/opt/x a"), hold)
	r := command("/opt/x a")
	if d := p.Decide(r); d.Allow || !d.Hold || d.Rule != "held" {
		t.Errorf("%+v", d)
	}
	r.Approved = true
	d := p.Decide(r)
	if !d.Allow || d.Hold || d.Rule != "held" {
		t.Errorf("approved: %+v", d)
	}
	if err := p.Commit(d); err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(r); d.Allow || d.Hold || d.RetryAfter != time.Hour {
		t.Errorf("a used up rule that holds lets another allow: %+v", d)
	}
}

func TestMaxPerHour(t *testing.T) {
	t.Parallel()
	rule := names("/opt/x *")
	rule.MaxPerHour = 2
	p := compile(t, "linux", rule)
	at := func(m int) policy.Request {
		r := command("/opt/x a")
		r.Now = noon.Add(time.Duration(m) * time.Minute)
		return r
	}
	for range 5 {
		if !p.Decide(at(0)).Allow {
			t.Fatal("deciding uses something up")
		}
	}
	early := p.Decide(at(0))
	for m := range 2 {
		if err := p.Commit(p.Decide(at(m))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Commit(early); fault.KindOf(err) != fault.Denied || fault.RetryAfterOf(err) <= 0 {
		t.Errorf("a decision from before: %v", err)
	}
	if d := p.Decide(at(59)); d.Allow || d.RetryAfter != time.Minute || d.Rule != "r" {
		t.Errorf("%+v", d)
	}
	next := compile(t, "linux", rule)
	next.Carry(p)
	if !p.Decide(at(60)).Allow {
		t.Error("the hour is over")
	}
	if next.Decide(at(59)).Allow {
		t.Error("a reload gives a fresh hour")
	}
	if d := next.Decide(at(-600)); d.Allow {
		t.Error("a clock that was set back gives a fresh hour")
	}
	if !next.Decide(at(-600 + 60)).Allow {
		t.Error("a clock that was set back blocks for more than an hour")
	}
}

func TestGrantAgeAndEffect(t *testing.T) {
	t.Parallel()
	rule := names("/opt/x")
	rule.MaxAge, rule.Requeue, rule.Effect = time.Hour, "run", "read_only"
	rule.Limits = policy.Limits{CPU: 1.5, Memory: 1 << 20, Output: 7}
	p := compile(t, "linux", rule)
	r := command("/opt/x")
	d := p.Decide(r)
	want := connectors.Grant{Rule: "r", Limits: connectors.Limits{CPU: 1.5, Memory: 1 << 20, Output: 7}}
	if diff := cmp.Diff(want, d.Grant); diff != "" || !d.Requeue || d.Effect == nil || *d.Effect != connectors.ReadOnly || d.MaxAge != time.Hour {
		t.Errorf("%+v %s", d, diff)
	}
	r.Now = noon.Add(time.Hour + time.Second)
	if d := p.Decide(r); d.Allow || !d.Expired || d.Rule != "r" {
		t.Errorf("an old job: %+v", d)
	}
	if d := compile(t, "linux", names("/opt/x")).Decide(command("/opt/x")); d.MaxAge != policy.DefaultMaxAge || d.Effect != nil || d.Requeue {
		t.Errorf("defaults: %+v", d)
	}
}

func TestOrderNeverMattersAndExplainNamesTheRule(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		rules := randomRules(rng)
		first := compile(t, "linux", rules...)
		rng.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		second := compile(t, "linux", rules...)
		for range 30 {
			r := randomRequest(rng)
			a, b := first.Decide(r), second.Explain(r)
			if a.Allow != b.Allow || a.Hold != b.Hold || a.Rule != b.Rule || a.Grant != b.Grant || a.Would != b.Would {
				t.Fatalf("order matters for %+v:\n%+v\n%+v", r, a, b)
			}
			deciders := 0
			for _, s := range b.Trace {
				if s.Decides {
					deciders++
					if s.Rule != b.Rule || !s.Fits {
						t.Fatalf("trace %+v of %+v", s, b)
					}
				}
			}
			if len(b.Trace) != len(rules) || (deciders == 1) != (b.Rule != "") {
				t.Fatalf("%d rules decide, decision %+v", deciders, b)
			}
			if allow, hold, denied := model(rules, r); a.Allow != allow || a.Hold != hold || denied != (a.Rule != "" && !a.Allow && !a.Hold) {
				t.Fatalf("model says allow %v hold %v denied %v for %+v with %+v, policy %+v", allow, hold, denied, r.Subject, rules, a)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, rule := range map[string]func(int) policy.Rule{
		"commands": func(i int) policy.Rule { return names(fmt.Sprintf("/opt/tool%d *", i)) },
		"hosts": func(i int) policy.Rule {
			r := names("/opt/tool *")
			r.Hosts = []string{fmt.Sprintf("h%d.example.com", i)}
			return r
		},
	} {
		b.Run(name, func(b *testing.B) {
			var rules []policy.Rule
			for i := range 1000 {
				r := rule(i)
				r.Name = fmt.Sprint("r", i)
				rules = append(rules, r)
			}
			p := compile(b, "linux", rules...)
			r := command("/opt/tool999 daily")
			if name == "hosts" {
				r = command("/opt/tool daily")
				r.Host = "h999.example.com"
			}
			for b.Loop() {
				if !p.Decide(r).Allow {
					b.Fatal("denied")
				}
			}
		})
	}
}
