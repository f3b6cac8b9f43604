package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// TestCommand sends commands through the whole agent, as a script on the
// instance would, and reads the reports as a sensor would.
func TestCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, allow("/bin/echo *", "/bin/ls /nonexistent", "/nonexistent/program"))
	s.start()
	ids := []string{
		s.put(simulator.Output{
			Topic: "Command", Name: "/bin/echo record", Source: "10.0.0.9", Correlator: "RITM1", Priority: "1",
			Payload: payload("name", "/bin/echo payload", "probe", "a<b&c ü", "password", "hunter2"),
		}),
		s.command("/bin/ls /nonexistent"),
		s.command("/nonexistent/program"),
	}
	r := s.report(ids[0])
	for column, want := range map[string]string{
		"agent": me, "topic": "Command", "queue": "input", "source": "10.0.0.9", "agent_correlator": "RITM1",
		"response_to": ids[0], "state": "ready",
	} {
		if got := r.row[column]; got != want {
			t.Errorf("report has %s %q, want %q", column, got, want)
		}
	}
	if len(r.Results) != 1 || r.Results[0].ExitCode != "0" || r.Results[0].Error != "" || r.Error != "" {
		t.Fatalf("report %s", r.row["payload"])
	}
	// The payload is over the record, and every field and parameter comes back.
	if got := r.Results[0].Stdout; !strings.HasPrefix(got, "payload\n") {
		t.Errorf("stdout %q", got)
	}
	for name, want := range map[string]string{
		"probe": "a<b&c ü", "skip_sensor": "true", "agent_correlator": "RITM1", "source": "10.0.0.9", "topic": "Command", "sallyport_result": "succeeded",
	} {
		if got := r.param(name); got != want {
			t.Errorf("echoes %s = %q, want %q", name, got, want)
		}
	}
	if strings.Contains(r.row["payload"], "hunter2") {
		t.Error("a password is echoed")
	}
	if got := s.inst.Record("ecc_queue", ids[0])["state"]; got != "processed" {
		t.Errorf("output is %s", got)
	}
	// An exit code is an outcome, not an error of the agent.
	if r := s.report(ids[1]); len(r.Results) != 1 || r.Results[0].ExitCode == "0" || r.Results[0].Stderr == "" || r.result() != "succeeded" {
		t.Errorf("failing command: %s", r.row["payload"])
	}
	if r := s.report(ids[2]); r.result() != "failed" || !strings.Contains(r.row["payload"], "not found") {
		t.Errorf("missing program: %s", r.row["payload"])
	}
}

// TestDeniedNamesTheRuleThatAllows takes the rule out of a denied job's report,
// adds it to the configuration, and sends the job again.
func TestDeniedNamesTheRuleThatAllows(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, "")
	a := s.start()
	text := "/bin/echo granted 1"
	id := s.command(text)
	r := s.report(id)
	if r.result() != "denied" || r.Error == "" && len(r.Results) == 0 {
		t.Fatalf("report %s", r.row["payload"])
	}
	_, rule, ok := strings.Cut(message(r), "This rule would allow it:\n")
	if !ok {
		t.Fatalf("no rule in %q", message(r))
	}
	s.is(id, "delivered")
	e, err := a.Explain(t.Context(), "prod/"+id)
	if err != nil || e.Allow || strings.TrimSpace(e.Would) != strings.TrimSpace(rule) {
		t.Errorf("explained as %+v; %v", e, err)
	}
	s.stop()
	s.toml = rule + "\n"
	s.start()
	if r := s.report(s.command(text)); r.result() != "succeeded" || r.Results[0].Stdout != "granted 1\n" {
		t.Errorf("with the rule: %s", r.row["payload"])
	}
	if r := s.report(s.command(text + " 2")); r.result() != "denied" {
		t.Errorf("the rule allows more than it says: %s", r.row["payload"])
	}
}

// TestShell: a shell runs only the exact command of a rule that says so.
func TestShell(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, "[[policy.rule]]\nname = 'sh'\nallow = ['Command']\nnames = ['echo one | tr a-z A-Z']\nshell = true\n"+
		strings.Replace(allow("/bin/echo *"), "'test'", "'plain'", 1))
	s.start()
	if r := s.report(s.command("echo one | tr a-z A-Z")); r.result() != "succeeded" || r.Results[0].Stdout != "ONE\n" {
		t.Errorf("%s", r.row["payload"])
	}
	if r := s.report(s.command("echo two | tr a-z A-Z")); r.result() != "denied" {
		t.Errorf("another command through a shell: %s", r.row["payload"])
	}
}

// TestInjectionNeverRuns sends what would run a second command if anything on
// the way put it through a shell or took an option from it.
func TestInjectionNeverRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, allow("/bin/echo *", "/usr/bin/find /etc/hostname *"))
	s.start()
	mark := filepath.Join(s.dir, "owned")
	var ids []string
	for _, format := range []string{
		"/bin/echo x; touch %s", "/bin/echo x && touch %s", "/bin/echo x | touch %s", "/bin/echo $(touch %s)", "/bin/echo `touch %s`",
		"/bin/echo x\ntouch %s", "/bin/echo x > %s", "/bin/echo \"$(touch %s)\"", "/bin/echo ${IFS}touch %s", "/bin/echo x & touch %s",
		"/usr/bin/find /etc/hostname -fprint %s", "/usr/bin/find /etc/hostname -exec touch %s +", "/bin/../bin/echo x\x00touch %s",
		"/bin/echo 'x'; touch %s", "/bin/echo x\u2028touch %s;", "/bin/echo x\rtouch %s",
	} {
		ids = append(ids, s.command(fmt.Sprintf(format, mark)), s.command("/bin/echo harmless", "name", fmt.Sprintf(format, mark)))
	}
	for _, id := range ids {
		s.report(id) // every one is answered
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("an injected command ran")
	}
}

// allow is a rule that lets commands run.
func allow(names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "'" + n + "'"
	}
	return "[[policy.rule]]\nname = 'test'\nallow = ['Command']\nnames = [" + strings.Join(quoted, ", ") + "]\n"
}
