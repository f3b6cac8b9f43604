package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// appending is a configuration in which the effect of jobs can be counted.
func (s *site) appending(rule string) {
	s.toml += "[[connector]]\nuse = 'diag'\nname = 'diag'\n[connector.settings]\nfile = '" + s.effects() + "'\n" +
		"[[policy.rule]]\nname = 'append'\nallow = ['diag.append']\ntargets = ['diag']\n" + rule + "\n"
}

func (s *site) effects() string { return filepath.Join(s.dir, "effects") }

// ran returns the ids of the runs that had their effect.
func (s *site) ran() []string {
	s.Helper()
	data, err := os.ReadFile(s.effects())
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	return strings.Fields(string(data))
}

// TestTakenAwayBeforeStart: a job that the instance gives to another agent or
// cancels while it is held here is released: no report, and it never runs,
// whoever approves it.
func TestTakenAwayBeforeStart(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(in *simulator.Instance, id string) bool{
		"reassigned": func(in *simulator.Instance, id string) bool { return in.Reassign(id, "mid.server.other") },
		"canceled":   (*simulator.Instance).Cancel,
		"deleted":    func(in *simulator.Instance, id string) bool { return in.Delete("ecc_queue", id) },
	} {
		t.Run(name+"/held", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{}, "")
			s.appending("hold = true")
			a := s.start()
			id := s.native("diag.append", "{}")
			s.is(id, "held")
			if !take(s.inst, id) {
				t.Fatal("not taken")
			}
			if j := s.is(id, "released"); j.Why == "" {
				t.Error("nothing says why")
			}
			if err := a.Approve(t.Context(), "prod/"+id, "me"); err == nil {
				t.Error("a released job can be approved")
			}
			s.polls(3)
			s.none(id)
			if ran := s.ran(); len(ran) != 0 {
				t.Errorf("ran %v", ran)
			}
		})
		t.Run(name+"/stopped", func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{}, "")
			s.appending("hold = true")
			a := s.start()
			id := s.native("diag.append", "{}")
			s.is(id, "held")
			if err := a.Pause(t.Context(), "", "me"); err != nil {
				t.Fatal(err)
			}
			if err := a.Approve(t.Context(), "prod/"+id, "me"); err != nil {
				t.Fatal(err)
			}
			s.stop()
			if !take(s.inst, id) {
				t.Fatal("not taken")
			}
			a = s.start()
			s.is(id, "released")
			if err := a.Resume(t.Context(), "me"); err != nil {
				t.Fatal(err)
			}
			s.polls(3)
			s.none(id)
			if ran := s.ran(); len(ran) != 0 {
				t.Errorf("ran %v", ran)
			}
		})
	}
}

// TestRunAgain: an output that somebody made ready again after its report runs
// anew where that does no harm or a rule says so; otherwise the outcome is
// reported once more and nothing runs.
func TestRunAgain(t *testing.T) {
	t.Parallel()
	again := func(t *testing.T, s *site, id string) []simulator.Record {
		t.Helper()
		s.answers(id, 1)
		s.is(id, "delivered")
		if !s.inst.RunAgain(id) {
			t.Fatal("not made ready")
		}
		rows := s.answers(id, 2)
		s.is(id+"#2", "delivered")
		if got := s.inst.Record("ecc_queue", id)["state"]; got != "processed" {
			t.Errorf("output is %s", got)
		}
		return rows
	}
	t.Run("read only", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, simulator.Options{}, diagRule)
		s.start()
		id := s.native("diag.echo", `{"text":"x"}`)
		again(t, s, id)
		if j := s.is(id+"#2", "delivered"); j.Attempt != 1 {
			t.Errorf("the second run: %+v", j)
		}
	})
	t.Run("at most once", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, simulator.Options{}, "")
		s.appending("")
		s.start()
		id := s.native("diag.append", "{}")
		rows := again(t, s, id)
		if ran := s.ran(); len(ran) != 1 {
			t.Errorf("ran %v", ran)
		}
		if rows[0]["payload"] != rows[1]["payload"] {
			t.Errorf("the second report differs:\n%s\n%s", rows[0]["payload"], rows[1]["payload"])
		}
	})
	t.Run("requeue", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, simulator.Options{}, "")
		s.appending("requeue = 'run'")
		s.start()
		id := s.native("diag.append", "{}")
		again(t, s, id)
		if ran := s.ran(); len(ran) != 2 || ran[1] != "prod/"+id+"#2" {
			t.Errorf("ran %v", ran)
		}
	})
}

// TestFailOver: work that the instance moves to another agent and back runs
// once, and what came back started elsewhere is not run blindly.
func TestFailOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Agents: []string{"edge1", "other"}}, "")
	s.appending("hold = true")
	s.start()
	back, lost := s.native("diag.append", "{}"), s.native("diag.append", "{}")
	s.is(back, "held")
	s.is(lost, "held")
	if n := s.inst.FailOver(me, "mid.server.other"); n != 2 {
		t.Fatalf("%d moved", n)
	}
	s.is(back, "released")
	s.is(lost, "released")
	// The other agent did not get to one of them, and had begun the other.
	s.stop()
	for id, state := range map[string]string{back: "ready", lost: "processing"} {
		if err := s.inst.Update("ecc_queue", id, simulator.Record{"agent": me, "state": state}); err != nil {
			t.Fatal(err)
		}
	}
	a := s.start()
	s.is(back+"#2", "held")
	s.is(lost+"#2", "held")
	for _, id := range []string{back, lost} {
		if err := a.Approve(t.Context(), "prod/"+id+"#2", "me"); err != nil {
			t.Fatal(err)
		}
	}
	if r := s.report(back); r.result() != "succeeded" {
		t.Errorf("%s", r.row["payload"])
	}
	if r := s.report(lost); r.result() != "unknown" {
		t.Errorf("%s", r.row["payload"])
	}
	if ran := s.ran(); len(ran) != 1 || ran[0] != "prod/"+back+"#2" {
		t.Errorf("ran %v", ran)
	}
}

// TestCutOver: what an agent of this name had begun before, and this journal
// does not know, runs only where that does no harm.
func TestCutOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.appending("")
	echo, change := s.native("diag.echo", `{"text":"x"}`), s.native("diag.append", "{}")
	foreign := s.put(simulator.Output{Agent: "mid.server.other", Topic: "Sallyport", Name: "diag.append", Payload: payload("params", "{}")})
	for _, id := range []string{echo, change, foreign} {
		if err := s.inst.Update("ecc_queue", id, simulator.Record{"state": "processing"}); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	if r := s.report(echo); r.result() != "succeeded" {
		t.Errorf("%s", r.row["payload"])
	}
	if r := s.report(change); r.result() != "unknown" || !strings.Contains(message(r), "Check by hand") {
		t.Errorf("%s", r.row["payload"])
	}
	s.polls(3)
	s.none(foreign)
	if ran := s.ran(); len(ran) != 0 {
		t.Errorf("ran %v", ran)
	}
}

// TestWaitingSurvivesRestart: a job that waits for another system goes on after
// a restart with what it had saved.
func TestWaitingSurvivesRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.start()
	id := s.native("diag.wait", `{"times":1,"seconds":2}`)
	s.is(id, "waiting")
	a := s.live
	s.until("status shows the job and what it waits for", func() bool {
		st := a.Status(t.Context())
		return len(st.Waiting) == 1 && st.Waiting[0].Why != "" && !st.Waiting[0].Until.IsZero()
	})
	s.stop()
	s.none(id)
	s.start()
	if r := s.report(id); r.result() != "succeeded" || r.Results[0].Output != `{"waited":1}` {
		t.Errorf("%s", r.row["payload"])
	}
}
