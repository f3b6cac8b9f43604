package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

const minimal = `
name = "edge 1"
[[instance]]
name = "prod"
url = "https://example.service-now.com"
username = "u"
password = "env:PW"
`

func noEnv(string) (string, bool) { return "", false }

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.toml", []byte(text), config.Overrides{Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func problems(t *testing.T, text string) config.Problems {
	t.Helper()
	_, err := config.Parse("test.toml", []byte(text), config.Overrides{Env: noEnv})
	if err == nil {
		return nil
	}
	ps, ok := errors.AsType[config.Problems](err)
	if !ok || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
		t.Fatalf("error %v (%T)", err, err)
	}
	return ps
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSampleLoads(t *testing.T) {
	t.Parallel()
	p := write(t, t.TempDir(), "sallyport.toml", config.Sample())
	c, err := config.Load(p, config.Overrides{Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "edge1" || c.Instances[0].Password.String() != "env:SALLYPORT_PASSWORD" || len(c.Policy.Rules) != 0 {
		t.Errorf("%+v", c)
	}
	// The rule that the sample shows in comments is an example that must work.
	open := strings.NewReplacer("# [[policy", "[[policy", "# name", "name", "# allow", "allow", "# names", "names").Replace(config.Sample())
	if c := parse(t, open); len(c.Policy.Rules) != 1 || c.Policy.Rules[0].Names[0] != "/opt/tools/report.sh *" {
		t.Errorf("the example rule: %+v", c.Policy.Rules)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := parse(t, minimal)
	in := c.Instances[0]
	if in.Poll != 5*time.Second || in.Mode != "native" || in.TLS.Revocation != "soft" || c.Pools.Standard != 25 ||
		c.Delivery.Settle != time.Minute || c.Delivery.InlineMax != 15<<20 || c.Queue.KeepDays != 90 || c.Queue.KeepOutcomes != 10_000 || c.Control.Group != "" || c.Shutdown.Grace != 8*time.Second ||
		c.StateDir != config.DefaultStateDir() || c.Policy.Default != "deny" {
		t.Errorf("%+v", c)
	}
	if d := config.Default(); d.Pools.Interactive != 10 || d.StateDir == "" {
		t.Errorf("%+v", d)
	}
	if c := parse(t, minimal+"[control]\ngroup = \"operators\"\n[queue]\nkeep_outcomes = 500\n"); c.Control.Group != "operators" || c.Queue.KeepOutcomes != 500 {
		t.Errorf("%+v %+v", c.Control, c.Queue)
	}
	rule := parse(t, minimal+"[[policy.rule]]\nallow = [\"Command\"]\nnames = [\"/a\"]\n").Policy.Rules[0]
	if rule.MaxAge != 24*time.Hour {
		t.Errorf("max_age %v", rule.MaxAge)
	}
}

func TestAllProblemsAtOnceWithLineAndHint(t *testing.T) {
	t.Parallel()
	text := `name = "edge^1"
stat_dir = "/x"
[[instance]]
name = "Prod"
url = "http://example.service-now.com"
username = "u"
password = "hunter2-literal"
poll = 5
api = "btach"
[[instance]]
name = "dev"
url = "https://u:topsecret@dev.service-now.com"
username = "u"
password = "vault:x"
[pools]
standard = 0
interactive = "ten"
[queue]
reserve = "1XB"
[policy]
default = "allow"
[[policy.rule]]
allow = ["*"]
instances = ["prd"]
[policy.rule.when]
a = { low = 1 }
[[connector]]
use = "ssh"
settings = 5
[unknown.section]
a = 1
`
	ps := problems(t, text)
	want := map[string]int{
		"name": 1, "stat_dir": 2, "instance[0].name": 4, "instance[0].url": 5, "instance[0].password": 7, "instance[0].poll": 8,
		"instance[0].api": 9, "instance[1].url": 12, "instance[1].password": 14, "pools.standard": 16, "pools.interactive": 17,
		"queue.reserve": 19, "policy.default": 21, "policy.rule[0].allow": 23, "policy.rule[0].instances": 24,
		"policy.rule[0].when.a": 26, "connector[0].name": 27, "connector[0].settings": 29, "unknown": 30,
	}
	got := map[string]int{}
	for _, p := range ps {
		got[p.Key] = p.Line
		if p.Hint == "" || p.Message == "" || p.File != "test.toml" || p.Column < 1 || !strings.Contains(p.Excerpt, "^") {
			t.Errorf("incomplete problem %+v", p)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems differ (-want +got):\n%s\n%v", diff, ps)
	}
	all := ps.Error()
	for _, leak := range []string{"hunter2", "topsecret"} {
		if strings.Contains(all, leak) {
			t.Errorf("%s is shown in\n%s", leak, all)
		}
	}
	for _, hint := range []string{"did you mean state_dir?", "did you mean batch?", `write "5s"`, "use env:, file: or systemd:", "test.toml:2:1"} {
		if !strings.Contains(all, hint) {
			t.Errorf("%q is missing in\n%s", hint, all)
		}
	}
}

func TestCaretIsBelowTheKey(t *testing.T) {
	t.Parallel()
	ps := problems(t, minimal+"[log]\nlebel = \"info\"\n")
	if len(ps) != 1 || !strings.HasSuffix(ps[0].Excerpt, "    9 | lebel = \"info\"\n      | ^^^^^") || ps[0].Hint != "did you mean level?" {
		t.Errorf("%v", ps)
	}
}

func TestSyntaxErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"password = \"hunter2", "password = hunter2", "name = \"a\"\nname = \"b\"", "[a", "passphrase = 'hunter2\n"} {
		ps := problems(t, text)
		if len(ps) != 1 || ps[0].Line == 0 || ps[0].Hint == "" {
			t.Errorf("%q: %v", text, ps)
		}
		if strings.Contains(ps.Error(), "hunter2") {
			t.Errorf("%q leaks: %v", text, ps)
		}
	}
}

func TestSecretLiteralsAreMaskedInEveryExcerpt(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`passwrod = "hunter2"`, `token = "hunter2"`, `api_key="hunter2"`, `x = { password = "hunter2", y = 1 }`, `"my secret" = 'hunter2'`,
		`url2 = "https://a:hunter2@b"`, `passphrase = """hunter2"""`,
	} {
		if all := problems(t, minimal+line+"\n").Error(); strings.Contains(all, "hunter2") {
			t.Errorf("%s leaks: %s", line, all)
		}
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ add, key string }{
		{"[instance.oauth]\nclient_id = \"x\"", "instance[0].oauth"},
		{"[instance.oauth]\nclient_id = \"x\"\nclient_secret = \"env:S\"\ngrant = \"refresh_token\"", "instance[0].oauth.grant"},
		{"[instance.mtls]\ncert = \"/c.pem\"", "instance[0].mtls"},
		{"[instance.mtls]\ncert = \"c.pem\"\nkey = \"file:/k\"", "instance[0]"},
		{"[instance.proxy]\nurl = \"http://u:p@proxy:3128\"", "instance[0].proxy.url"},
		{"[instance.proxy]\nurl = \"ftp://proxy\"", "instance[0].proxy.url"},
		{"[instance.proxy]\nurl = \"http://proxy:3128\"\nauth = \"ntlm\"", "instance[0].proxy.auth"},
		{"[[instance]]\nname = \"prod\"\nurl = \"https://x.y\"\nusername = \"u\"\npassword = \"env:A\"", "instance[1].name"},
		{"[[instance]]\nname = \"dev\"\nurl = \"https://x.y\"", "instance[1]"},
		{"[[instance]]\nname = \"dev\"\nurl = \"https://x.y\"\nusername = \"u\"", "instance[1].username"},
		{"[[instance]]\nname = \"dev\"\nurl = \"https://x.y/path\"\nusername = \"u\"\npassword = \"env:A\"", "instance[1].url"},
		{"[[credential]]\nname = \"a\"\npassword = \"env:A\"", "credential[0].hosts"},
		{"[[credential]]\nname = \"a\"\nhosts = [\"h\"]", "credential[0]"},
		{"[[credential]]\nname = \"a b\"\nhosts = [\"h\"]\npassword = \"env:A\"", "credential[0].name"},
		{"[[credential]]\nname = \"a\"\nhosts = [\"*\"]\npassword = \"env:A\"", "credential[0].hosts"},
		{"[[connector]]\nuse = \"ssh\"\nname = \"a\"\n[[connector]]\nuse = \"ssh\"\nname = \"a\"", "connector[1].name"},
		{"[[policy.rule]]\nallow = [\"a.b\"]\ncredentials = [\"none\"]", "policy.rule[0].credentials"},
		{"[[policy.rule]]\nallow = [\"Command\"]\nnames = [\"a; b\"]", "policy.rule[0].names"},
		{"[[policy.rule]]\nallow = [\"Command\"]\nmax_per_hour = 10001", "policy.rule[0].max_per_hour"},
		{"[log]\nfile = \"relative.log\"", "log.file"},
		{"[delivery]\nsettle = \"0s\"", "delivery.settle"},
		{"[delivery]\ninline_max = \"16MB\"", "delivery.inline_max"},
	} {
		ps := problems(t, minimal+c.add+"\n")
		if len(ps) == 0 || ps[0].Key != c.key || ps[0].Line < 2 {
			t.Errorf("%s\ngives %v, want a problem at %s", c.add, ps, c.key)
		}
	}
	if ps := problems(t, `name = "x"`); len(ps) != 1 || ps[0].Key != "instance" {
		t.Errorf("no instance: %v", ps)
	}
	if ps := problems(t, strings.Replace(minimal, "https://example.service-now.com", "http://127.0.0.1:8443", 1)); ps != nil {
		t.Errorf("http towards loopback: %v", ps)
	}
	if ps := problems(t, strings.Replace(minimal, "edge 1", "", 1)); len(ps) != 1 || ps[0].Key != "name" || ps[0].Line != 2 {
		t.Errorf("an empty name: %v", ps)
	}
	if ps := problems(t, "config_version = 2\n"+minimal); len(ps) != 1 || ps[0].Key != "config_version" {
		t.Errorf("version: %v", ps)
	}
}

func TestPrecedenceAndOrigin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := write(t, dir, "sallyport.toml", minimal+"[pools]\nstandard = 1\ninteractive = 1\nexpedited = 1\n[log]\nlevel = \"debug\"\n")
	write(t, dir, "conf.d/10-a.toml", "[pools]\ninteractive = 2\nexpedited = 2\n[[instance]]\nname = \"dev\"\nurl = \"https://d.e\"\nusername = \"u\"\npassword = \"env:D\"\n")
	second := write(t, dir, "conf.d/20-b.toml", "[pools]\nexpedited = 3\n")
	write(t, dir, "conf.d/ignored.txt", "not = [toml")
	env := map[string]string{"SALLYPORT_POOLS_INTERACTIVE": "4", "SALLYPORT_INSTANCE_DEV_POLL": "9s", "SALLYPORT_LOG_FORMAT": ""}
	c, err := config.Load(p, config.Overrides{
		Flags: map[string]string{"log.level": "error", "instance.dev.url": "https://f.g"},
		Env:   func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][2]string{
		"pools.standard":     {"1", "file " + p + ":9"},
		"pools.expedited":    {"3", "file " + second + ":2"},
		"pools.interactive":  {"4", "environment SALLYPORT_POOLS_INTERACTIVE"},
		"log.level":          {"error", "flag log.level"},
		"log.format":         {"text", "default"},
		"instance.dev.poll":  {"9s", "environment SALLYPORT_INSTANCE_DEV_POLL"},
		"instance.dev.url":   {"https://f.g", "flag instance.dev.url"},
		"instance[0].name":   {"prod", "file " + p + ":4"},
		"delivery.settle":    {"1m", "default"},
		"queue.max_bytes":    {"16GB", "default"},
		"instance.prod.mode": {"native", "default"},
	} {
		e, err := c.Explain(key)
		if err != nil || e.Value != want[0] || e.Origin != want[1] {
			t.Errorf("%s is %q from %q (%v), want %q", key, e.Value, e.Origin, err, want)
		}
	}
	if _, err := c.Explain("pools.standrad"); err == nil || fault.HintOf(err) != "did you mean pools.standard?" {
		t.Errorf("unknown key: %v, %q", err, fault.HintOf(err))
	}
	if e, err := c.Explain("credential.password"); err != nil || e.Help == "" || e.Value != "" {
		t.Errorf("a key without an element: %+v, %v", e, err)
	}
}

func TestOverridesCanMistakeToo(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("t", []byte(minimal+"[[policy.rule]]\nname = \"r\"\nallow = [\"a.b\"]\n"), config.Overrides{
		Flags: map[string]string{"pools.standard": "many", "pols.standard": "1", "policy.rule.r.hold": "false", "policy.default": "deny"},
		Env: func(k string) (string, bool) {
			return "hunter2", k == "SALLYPORT_INSTANCE_PROD_PASSWORD"
		},
	})
	ps, _ := errors.AsType[config.Problems](err)
	var keys []string
	for _, p := range ps {
		keys = append(keys, p.Key)
	}
	want := []string{"instance.prod.password", "pools.standard", "policy.default", "policy.rule.r.hold", "pols.standard"}
	if diff := cmp.Diff(want, keys); diff != "" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s\n%v", diff, err)
	}
	c, err := config.Parse("t", []byte(strings.Replace(minimal, "name = \"edge 1\"", "", 1)), config.Overrides{Env: noEnv, Flags: map[string]string{"name": "x"}})
	if err != nil || c.Name != "x" {
		t.Errorf("a required key by flag: %v", err)
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := config.Load(filepath.Join(dir, "none.toml"), config.Overrides{}); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
		t.Errorf("no file: %v", err)
	}
	if _, err := config.Load(dir, config.Overrides{}); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
		t.Errorf("a folder: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	p := write(t, dir, "open.toml", minimal)
	if err := os.Chmod(p, 0o602); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(p, config.Overrides{Env: noEnv})
	if err == nil || !strings.Contains(err.Error(), "every user can write it") || !strings.Contains(fault.HintOf(err), "chmod o-w "+p) {
		t.Errorf("a file that all can write: %v", err)
	}
}

type settings struct {
	Hosts   []string          `toml:"hosts" required:"true"`
	Port    int               `toml:"port" default:"22" min:"1" max:"65535"`
	Timeout time.Duration     `toml:"timeout" default:"30s"`
	Max     int64             `toml:"max" unit:"bytes" default:"1MB"`
	Labels  map[string]string `toml:"labels"`
	Jump    *jump             `toml:"jump"`
	Sub     []jump            `toml:"sub"`
	Mode    string            `toml:"mode" enum:"a|b" default:"a"`
	Ratio   float64           `toml:"ratio"`
	Any     any               `toml:"any"`
}

type jump struct {
	Host string `toml:"host"`
	On   bool   `toml:"on"`
}

func TestSettings(t *testing.T) {
	t.Parallel()
	section := `[[connector]]
use = "ssh"
name = "linux"
[connector.settings]
hosts = ["10.0.*"]
timeout = "5s"
ratio = 2
any = [1, "x"]
labels = { a = "b" }
[connector.settings.jump]
host = "j"
[[connector.settings.sub]]
host = "s"
on = true
`
	want := settings{
		Hosts: []string{"10.0.*"}, Port: 22, Timeout: 5 * time.Second, Max: 1 << 20, Labels: map[string]string{"a": "b"},
		Jump: &jump{Host: "j"}, Sub: []jump{{Host: "s", On: true}}, Mode: "a", Ratio: 2, Any: []any{int64(1), "x"},
	}
	var got settings
	if err := parse(t, minimal+section).Connectors[0].Settings.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	inline := "[[connector]]\nuse = \"ssh\"\nname = \"linux\"\nsettings = { hosts = [\"h\"], jump = { host = \"x\" } }\n"
	got = settings{}
	if err := parse(t, minimal+inline).Connectors[0].Settings.Decode(&got); err != nil || got.Hosts[0] != "h" || got.Jump.Host != "x" {
		t.Errorf("inline: %v %+v", err, got)
	}
	bad := "[[connector]]\nuse = \"ssh\"\nname = \"linux\"\n[connector.settings]\nprot = 1\nport = 0\nmode = 'c'\n[connector.settings.jump]\nhots = 1\n"
	err := parse(t, minimal+bad).Connectors[0].Settings.Decode(&got)
	ps, _ := errors.AsType[config.Problems](err)
	lines := map[string]int{}
	for _, p := range ps {
		lines[p.Key] = p.Line
	}
	wantLines := map[string]int{"prot": 12, "port": 13, "mode": 14, "jump.hots": 16, "hosts": 11}
	if diff := cmp.Diff(wantLines, lines); diff != "" || fault.KindOf(err) != fault.Invalid {
		t.Errorf("%s\n%v", diff, err)
	}
	if err := (config.Settings{}).Decode(settings{}); fault.KindOf(err) != fault.Internal {
		t.Errorf("no pointer: %v", err)
	}
}

const full = minimal + `
poll = "2s"
[instance.tls]
ca_files = ["/ca.pem"]
[[credential]]
name = "ldap"
username = "u"
password = "file:/s"
hosts = ["*.example.com"]
[[connector]]
use = "ldap"
name = "corp"
[connector.settings]
url = "ldaps://dc1"
bind_password = "hunter2"
tokens = ["hunter2"]
key = "env:K"
[[policy.rule]]
name = "move"
allow = ["ldap.*"]
instances = ["prod"]
credentials = ["ldap"]
max_age = "90m"
[policy.rule.when]
dn = { under = "OU=x,DC=y" }
n = { min = 1, max = 5 }
mode = ["a", "b"]
one = "x"
[policy.rule.limits]
memory = "512MB"
`

func TestShowLoadsAgain(t *testing.T) {
	t.Parallel()
	c := parse(t, full)
	data, err := c.ShowTOML()
	if err != nil || strings.Contains(string(data), "hunter2") {
		t.Fatalf("%v\n%s", err, data)
	}
	if !strings.Contains(string(data), "env:K") || !strings.Contains(string(data), "env:PW") {
		t.Errorf("a reference is hidden:\n%s", data)
	}
	again := parse(t, string(data))
	if d := config.Diff(c, again); len(d) != 1 && len(d) != 0 {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff(c.Policy, again.Policy); diff != "" {
		t.Error(diff)
	}
	js, err := c.ShowJSON()
	if err != nil || !json.Valid(js) || strings.Contains(string(js), "hunter2") {
		t.Errorf("%v\n%s", err, js)
	}
	e, err := c.Explain("connector.corp.settings")
	if err != nil || strings.Contains(e.Value, "hunter2") || !strings.Contains(e.Value, "ldaps://dc1") {
		t.Errorf("%+v %v", e, err)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	before := parse(t, full)
	if d := config.Diff(before, parse(t, full)); d != nil {
		t.Errorf("equal: %+v", d)
	}
	after := parse(t, strings.NewReplacer(`poll = "2s"`, `poll = "3s"`, `"edge 1"`, `"edge 2"`, "[[credential]]", "[[credential]]\nname = \"new\"\npassword = \"env:N\"\nhosts = [\"h\"]\n[[credential]]").Replace(full))
	got := config.Diff(before, after)
	want := []config.Change{
		{Key: "credential.new.hosts", New: "[h]"},
		{Key: "credential.new.name", New: "new"},
		{Key: "credential.new.passphrase"},
		{Key: "credential.new.password", New: "env:N"},
		{Key: "credential.new.private_key"},
		{Key: "credential.new.username"},
		{Key: "instance.prod.poll", Old: "2s", New: "3s"},
		{Key: "name", Old: "edge 1", New: "edge 2", Restart: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEveryKeyIsComplete walks the whole schema.
func TestEveryKeyIsComplete(t *testing.T) {
	t.Parallel()
	c := parse(t, full)
	keys := c.Keys()
	if len(keys) < 70 {
		t.Fatalf("only %d keys", len(keys))
	}
	seen := map[string]bool{}
	for _, key := range keys {
		e, err := c.Explain(key)
		if err != nil || e.Help == "" || !strings.HasSuffix(e.Help, ".") || e.Origin == "" {
			t.Errorf("%s: %+v, %v", key, e, err)
		}
		if env := strings.HasPrefix(e.Env, "SALLYPORT_"); env == (strings.HasPrefix(key, "policy.") || strings.HasSuffix(key, ".settings")) {
			t.Errorf("%s: the environment variable is %q", key, e.Env)
		}
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
	}
	checkTags(t, reflect.TypeFor[config.Config](), "")
}

// checkTags makes sure that defaults are real: a number, truth value or choice
// without a default would be the zero value by accident.
func checkTags(t *testing.T, typ reflect.Type, path string) {
	t.Helper()
	for f := range typ.Fields() {
		key := path + f.Tag.Get("toml")
		if !f.IsExported() {
			continue
		}
		if f.Tag.Get("toml") == "" || f.Tag.Get("help") == "" {
			t.Errorf("%s.%s has no key or help", typ, f.Name)
		}
		ft := f.Type
		if ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && ft.NumField() > 0 && ft.Field(0).Tag.Get("toml") != "" {
			checkTags(t, ft, key+".")
			continue
		}
		_, hasDefault := f.Tag.Lookup("default")
		if enum, ok := f.Tag.Lookup("enum"); ok && !strings.HasPrefix(enum, "|") && !hasDefault {
			t.Errorf("%s is a choice without a default", key)
		}
		if f.Type.Kind() != reflect.String && f.Type.Kind() != reflect.Slice && f.Type.Kind() != reflect.Struct && f.Type.Kind() != reflect.Map && !hasDefault {
			t.Errorf("%s has no default", key)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add(config.Sample())
	f.Add("a.b.c = 1\n[a.b]\n[[x]]\n[[x.y]]\nz = [[1], {a = 2}]")
	f.Add("instance = [1, {name = 5}]\npolicy = 3")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("f", []byte(text), config.Overrides{Env: noEnv})
		if err != nil {
			if _, ok := errors.AsType[config.Problems](err); !ok {
				t.Errorf("%T", err)
			}
			return
		}
		data, err := c.ShowTOML()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse("again", data, config.Overrides{Env: noEnv}); err != nil {
			t.Errorf("what is shown does not load: %v\n%s", err, data)
		}
	})
}
