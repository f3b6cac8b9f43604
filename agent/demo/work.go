package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// AgentName is the name of the demo's agent.
const AgentName = "demo"

// Kind is one kind of work of the demo.
type Kind struct {
	Name   string // for the display
	Share  int    // how many of a hundred jobs
	Effect bool   // it appends its id to the effects file
	Output func(n int) simulator.Output
}

func native(action, params string) func(int) simulator.Output {
	return func(int) simulator.Output {
		return simulator.Output{Topic: "Sallyport", Name: action, Payload: parameters("params", params)}
	}
}

func command(text func(n int) string) func(int) simulator.Output {
	return func(n int) simulator.Output {
		return simulator.Output{Topic: "Command", Name: text(n), Payload: parameters()}
	}
}

// parameters makes a payload. skip_sensor keeps the instance's Discovery sensor
// from taking the report for a mistake.
func parameters(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<parameters>")
	for pair := range slices.Chunk(pairs, 2) {
		fmt.Fprintf(&b, `<parameter name="%s" value="%s"/>`, escape(pair[0]), escape(pair[len(pair)-1]))
	}
	b.WriteString(`<parameter name="skip_sensor" value="true"/></parameters>`)
	return b.String()
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// Site is the folder of one demo and what is in it.
type Site struct {
	Dir     string
	Config  string // the agent's configuration file
	State   string
	Effects string // the file to which jobs append their ids
	Script  string // a program that appends its argument to Effects; "" on Windows
}

// NewSite writes what an agent needs into a folder.
func NewSite(dir, url string, o SiteOptions) (*Site, error) {
	s := &Site{
		Dir: dir, Config: filepath.Join(dir, "sallyport.toml"), State: filepath.Join(dir, "state"),
		Effects: filepath.Join(dir, "effects.log"),
	}
	if runtime.GOOS != "windows" {
		s.Script = filepath.Join(dir, "record.sh")
		script := "#!/bin/sh\nprintf '%s\\n' \"$1\" >> " + shellQuote(s.Effects) + "\nprintf 'recorded %s\\n' \"$1\"\n"
		if err := os.WriteFile(s.Script, []byte(script), 0o700); err != nil { //nolint:gosec // it is to be run
			return nil, err
		}
	}
	return s, os.WriteFile(s.Config, []byte(s.config(url, o)), 0o600)
}

// shellQuote quotes a path for sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// SiteOptions changes the configuration of a site.
type SiteOptions struct {
	Settle string // delivery.settle; "" is 2s
	Poll   string // "" is 1s
	Pools  [3]int // interactive, expedited, standard; zero is the default
	Batch  int    // delivery.batch; zero is the default
	Level  string // of the log; "" is info
	Grace  string // shutdown.grace; "" is 2s
}

// PasswordEnv is the environment variable in which the agent finds its password.
const PasswordEnv = "SALLYPORT_DEMO_PASSWORD" //nolint:gosec // the name, not the password

func (s *Site) config(url string, o SiteOptions) string {
	or := func(v, def string) string {
		if v == "" {
			return def
		}
		return v
	}
	pools := ""
	if o.Pools != [3]int{} {
		pools = fmt.Sprintf("[pools]\ninteractive = %d\nexpedited = %d\nstandard = %d\n\n", o.Pools[0], o.Pools[1], o.Pools[2])
	}
	batch := ""
	if o.Batch > 0 {
		batch = fmt.Sprintf("batch = %d\n", o.Batch)
	}
	rules := ""
	if s.Script != "" {
		rules = fmt.Sprintf("[[policy.rule]]\nname = \"record\"\nallow = [\"Command\"]\nnames = [%s]\n\n"+
			"[[policy.rule]]\nname = \"look around\"\nallow = [\"Command\"]\nnames = [\"/bin/uname -a\", \"/usr/bin/id\", \"/bin/sleep *\", \"/bin/ls /nonexistent\"]\neffect = \"read_only\"\n\n",
			quote(s.Script+" *"))
	}
	return fmt.Sprintf(`# The demo's agent. Everything in this folder can be removed.
name      = "%s"
state_dir = %s

[[instance]]
name     = "demo"
url      = "%s"
username = "mid"
password = "env:%s"
poll     = "%s"

%s[delivery]
settle = "%s"
%s
[shutdown]
grace = "%s"

[log]
level = "%s"

[[connector]]
use  = "diag"
name = "diag"
[connector.settings]
file = %s

%s[[policy.rule]]
name  = "trying out"
allow = ["diag.echo", "diag.sleep", "diag.fail", "diag.wait"]

[[policy.rule]]
name  = "recording"
allow = ["diag.append"]
targets = ["diag"]

[[policy.rule]]
name  = "after approval"
allow = ["diag.append"]
when  = { seconds = "0.01" }
hold  = true
`, AgentName, quote(s.State), url, PasswordEnv, or(o.Poll, "1s"), pools, or(o.Settle, "2s"), batch, or(o.Grace, "2s"), or(o.Level, "info"), quote(s.Effects), rules)
}

// Kinds is the demo's day.
func (s *Site) Kinds() []Kind {
	kinds := []Kind{
		{"report", 34, false, native("diag.echo", `{"text":"monthly report"}`)},
		{"change", 20, true, native("diag.append", `{}`)},
		{"held", 3, true, native("diag.append", `{"seconds":"0.01"}`)},
		{"waiting", 6, false, native("diag.wait", `{"times":2,"seconds":0.4}`)},
		{"slow", 3, false, native("diag.sleep", `{"seconds":0.6}`)},
		{"failing", 6, false, native("diag.fail", `{"kind":"outcome","message":"the mailbox is full"}`)},
		{"denied", 5, false, command(func(int) string { return "/bin/rm -rf /var/lib/app" })},
		{"unserved", 2, false, func(int) simulator.Output {
			return simulator.Output{Topic: "HorizontalDiscoveryProbe", Name: "pattern", Payload: parameters()}
		}},
		{"malformed", 1, false, func(int) simulator.Output {
			return simulator.Output{Topic: "Command", Name: "x", Payload: "<parameters><parameter"}
		}},
	}
	if s.Script == "" {
		kinds[0].Share += 20
		return kinds
	}
	return append(kinds,
		Kind{"script", 14, true, command(func(n int) string { return fmt.Sprintf("%s script-%d", s.Script, n) })},
		Kind{"command", 4, false, command(func(int) string { return "/bin/uname -a" })},
		Kind{"long", 1, false, command(func(int) string { return "/bin/sleep 3" })},
		Kind{"exit code", 1, false, command(func(int) string { return "/bin/ls /nonexistent" })},
	)
}

// Output makes job number n of a day.
func (s *Site) Output(n int) (simulator.Output, Kind) {
	kinds := s.Kinds()
	at := (n*37 + 11) % 100 // spreads the kinds over the day
	for _, k := range kinds {
		if at < k.Share {
			o := k.Output(n)
			o.Agent, o.Correlator = "mid.server."+AgentName, fmt.Sprintf("RITM%07d", n)
			o.Priority = []string{"2", "2", "1", "2", "0"}[n%5]
			return o, k
		}
		at -= k.Share
	}
	o := kinds[0].Output(n)
	o.Agent = "mid.server." + AgentName
	return o, kinds[0]
}
