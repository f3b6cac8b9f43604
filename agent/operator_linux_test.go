package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/simulator"
	"github.com/sallyport-agent/sallyport/queue"
)

// TestPause: a paused agent takes nothing and starts nothing, still answers the
// heartbeat and reports what ran, and stays paused over a restart.
func TestPause(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.appending("hold = true")
	a := s.start()
	held, running := s.native("diag.append", "{}"), s.native("diag.sleep", `{"seconds":0.3}`)
	s.is(held, "held")
	s.is(running, "started")
	if err := a.Pause(t.Context(), "the change freeze", "me"); err != nil {
		t.Fatal(err)
	}
	if err := a.Approve(t.Context(), "prod/"+held, "me"); err != nil {
		t.Fatal(err)
	}
	fresh := s.native("diag.echo", `{"text":"x"}`)
	beat := s.put(simulator.Output{Topic: "HeartbeatProbe", Name: "heartbeat", Payload: payload()})
	s.answers(beat, 1)
	s.answers(running, 1)
	s.polls(3)
	s.stop()
	a = s.start()
	st := a.Status(t.Context())
	if st.Mode.State != "paused" || st.Mode.Note != "the change freeze" || st.Mode.By != "me" || st.Mode.Since.IsZero() {
		t.Errorf("after a restart: %+v", st.Mode)
	}
	s.polls(3)
	s.none(held)
	s.none(fresh)
	if got := s.inst.Record("ecc_queue", fresh)["state"]; got != "ready" {
		t.Errorf("a paused agent left the output %s", got)
	}
	if st := a.Status(t.Context()); !strings.Contains(st.Instances[0].Blocked, "the change freeze") {
		t.Errorf("status says %q", st.Instances[0].Blocked)
	}
	if err := a.Resume(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{held, fresh} {
		if r := s.report(id); r.result() != "succeeded" {
			t.Errorf("%s", r.row["payload"])
		}
	}
	if ran := s.ran(); len(ran) != 1 {
		t.Errorf("ran %v", ran)
	}
}

// TestDrain: a draining agent takes nothing, and works off what it has.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	a := s.start()
	waiting := s.native("diag.wait", `{"times":1,"seconds":0.3}`)
	s.is(waiting, "waiting")
	if err := a.Drain(t.Context(), "", "me"); err != nil {
		t.Fatal(err)
	}
	s.polls(2)
	fresh := s.native("diag.echo", `{"text":"x"}`)
	if r := s.report(waiting); r.result() != "succeeded" {
		t.Errorf("%s", r.row["payload"])
	}
	s.polls(3)
	if got := s.inst.Record("ecc_queue", fresh)["state"]; got != "ready" {
		t.Errorf("a draining agent left the output %s", got)
	}
	if err := a.Resume(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	s.report(fresh)
}

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) && syscall.Kill(pid, 0) == nil
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// tree writes a script that starts a child of its own, writes both pids to a
// file, and waits for as long as it can.
func (s *site) tree() (script, pids string) {
	s.Helper()
	script, pids = filepath.Join(s.dir, "tree.sh"), filepath.Join(s.dir, "pids")
	text := "#!/bin/sh\nsetsid sleep 300 &\necho $$ $! > '" + pids + ".new'\nmv '" + pids + ".new' '" + pids + "'\nwait\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		s.Fatal(err)
	}
	return script, pids
}

func (s *site) pids(file string) (list []int) {
	s.Helper()
	s.until("the script runs", func() bool {
		data, err := os.ReadFile(file)
		list = nil
		for word := range strings.FieldsSeq(string(data)) {
			n, convErr := strconv.Atoi(word)
			if convErr != nil {
				s.Fatal(convErr)
			}
			list = append(list, n)
		}
		return err == nil && len(list) == 2
	})
	return list
}

// TestCancel ends a running command with everything it started, and keeps held
// and waiting jobs from running; each is reported.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.appending("hold = true")
	script, file := s.tree()
	s.toml += allow(script)
	a := s.start()
	running, held, waiting := s.command(script), s.native("diag.append", "{}"), s.native("diag.wait", `{"times":1,"seconds":3600}`)
	s.is(held, "held")
	s.is(waiting, "waiting")
	pids := s.pids(file)
	s.until("status shows all three", func() bool {
		st := a.Status(t.Context())
		return len(st.Running) == 1 && st.Running[0].Name == script && len(st.Waiting) == 2
	})
	for _, id := range []string{running, held, waiting} {
		if err := a.Cancel(t.Context(), "prod/"+id, "me"); err != nil {
			t.Fatal(err)
		}
		if r := s.report(id); r.result() != "canceled" || !strings.Contains(message(r), "canceled by me") {
			t.Errorf("%s", r.row["payload"])
		}
	}
	s.until("the whole tree is gone", func() bool { return !alive(pids[0]) && !alive(pids[1]) })
	if ran := s.ran(); len(ran) != 0 {
		t.Errorf("ran %v", ran)
	}
	if err := a.Cancel(t.Context(), "prod/"+held, "me"); fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
		t.Errorf("canceled twice: %v", err)
	}
	if err := a.Cancel(t.Context(), "prod/nothing", "me"); !errors.Is(err, queue.ErrNotFound) || fault.HintOf(err) == "" {
		t.Errorf("canceled what is not there: %v", err)
	}
}

// TestRetry: a failed job runs anew when somebody says so, a succeeded one only
// by force, and a waiting one becomes due.
func TestRetry(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	a := s.start()
	failing, fine, waiting := s.native("diag.fail", "{}"), s.native("diag.echo", "{}"), s.native("diag.wait", `{"times":1,"seconds":3600}`)
	s.is(failing, "delivered")
	s.is(fine, "delivered")
	s.is(waiting, "waiting")
	id, err := a.Retry(t.Context(), "prod/"+failing, "me", false)
	if err != nil || id != "prod/"+failing+"#2" {
		t.Errorf("retried as %s: %v", id, err)
	}
	s.answers(failing, 2)
	if _, err := a.Retry(t.Context(), "prod/"+fine, "me", false); fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
		t.Errorf("a succeeded job: %v", err)
	}
	if _, err := a.Retry(t.Context(), "prod/"+fine, "me", true); err != nil {
		t.Error(err)
	}
	s.answers(fine, 2)
	if _, err := a.Retry(t.Context(), "prod/"+waiting, "me", false); err != nil {
		t.Error(err)
	}
	if r := s.report(waiting); r.result() != "succeeded" {
		t.Errorf("%s", r.row["payload"])
	}
}

// TestMaxAge: a job that its rule finds too old expires with a report.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }}, "")
	s.appending("max_age = '1h'")
	s.start()
	id := s.native("diag.append", "{}")
	if r := s.report(id); r.result() != "expired" || !strings.Contains(message(r), "1h0m0s") {
		t.Errorf("%s", r.row["payload"])
	}
	if ran := s.ran(); len(ran) != 0 {
		t.Errorf("ran %v", ran)
	}
}

// TestStopWithARunningCommand: the agent stops in time, the command goes on in
// the runner, and the next start reports its whole output.
func TestStopWithARunningCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, "")
	gate, script := filepath.Join(s.dir, "gate"), filepath.Join(s.dir, "slow.sh")
	text := "#!/bin/sh\necho first\nwhile [ ! -e '" + gate + "' ]; do sleep 0.05; done\necho last\nexit 7\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s.toml = allow(script)
	s.change = func(c *config.Config) { c.Shutdown.Grace = time.Second }
	s.start()
	id := s.command(script)
	s.is(id, "started")
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	s.none(id)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	if r := s.report(id); r.result() != "succeeded" || r.Results[0].Stdout != "first\nlast\n" || r.Results[0].ExitCode != "7" {
		t.Errorf("%s", r.row["payload"])
	}
	if j := s.is(id, "delivered"); j.Attempt != 1 {
		t.Errorf("it was started %d times", j.Attempt)
	}
}

// TestSecondAgentOnTheSameFolder is refused with the pid of the first.
func TestSecondAgentOnTheSameFolder(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.start()
	_, err := agent.Open(t.Context(), s.options())
	if !errors.Is(err, queue.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) || fault.HintOf(err) == "" {
		t.Errorf("a second agent: %v (%s)", err, fault.HintOf(err))
	}
	if r := s.report(s.native("diag.echo", "{}")); r.result() != "succeeded" {
		t.Errorf("the first one is disturbed: %s", r.row["payload"])
	}
}

// TestTwin: a second agent of this name elsewhere is an alarm in status.
func TestTwin(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	a := s.start()
	s.polls(5)
	if st := a.Status(t.Context()); st.Instances[0].Twin != "" {
		t.Errorf("an agent alone sees %q", st.Instances[0].Twin)
	}
	_, err := s.inst.Insert("ecc_queue", simulator.Record{
		"agent": me, "queue": "input", "topic": "queue.processing", "state": "ready", "source": "sallyport otherhost 12345678",
		"payload": fmt.Sprintf(`<processing><sys_id state="processing">%s</sys_id></processing>`, strings.Repeat("a", 32)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.until("status tells of the twin", func() bool {
		st := a.Status(t.Context())
		return strings.Contains(st.Instances[0].Twin, "otherhost") && len(st.Problems) > 0 && strings.Contains(st.Problems[0], "another agent of this name")
	})
}
