package crash_test

import (
	"context"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// calm is how long an agent that is left alone may take for what is left.
const calm = 90 * time.Second

// finish leaves the agent alone, with an instance that behaves, until everything
// is answered.
func (s *site) finish() {
	for _, j := range s.jobs {
		if j.away {
			s.bringBack(j)
		}
	}
	s.inst.Faults().Clear()
	ctx, cancel := context.WithTimeout(s.Context(), calm)
	defer cancel()
	s.start("", 0)
	operator := make(chan struct{})
	go func() {
		defer close(operator)
		s.operate(ctx)
	}()
	restarted := false
	for ctx.Err() == nil {
		open, unsettled := s.open()
		if open == 0 && unsettled == 0 {
			break
		}
		if open == 0 && !restarted {
			// What a late claim left as processing is found by the audit of the
			// next start, or an hour later.
			restarted = true
			if err := s.process.Stop(20 * time.Second); err != nil {
				s.Error(err)
			}
			s.start("", 0)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	if ctx.Err() == nil {
		// Long enough for a report that would come twice.
		<-time.After(2 * settle)
	}
	cancel()
	<-operator
}

// open counts the jobs that are not answered, and those of the others that are
// not shown as processed.
func (s *site) open() (open, unsettled int) {
	for _, j := range s.jobs {
		switch {
		case j.done:
		case s.answered(j):
			j.done = true
		case len(s.reports(j)) >= j.reports:
			unsettled++
		default:
			open++
		}
	}
	return open, unsettled
}

// report is what a sensor reads.
type report struct {
	row     simulator.Record
	Error   string `xml:"error,attr"`
	Results []struct {
		ExitCode string `xml:"exit_code,attr"`
		File     string `xml:"attachment_sys_id,attr"`
		Stdout   string `xml:"stdout"`
		Stderr   string `xml:"stderr"`
		Output   string `xml:"output"`
	} `xml:"result"`
	Parameters []struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	} `xml:"parameters>parameter"`
}

func (r *report) result() string {
	for _, p := range r.Parameters {
		if p.Name == "sallyport_result" {
			return p.Value
		}
	}
	return ""
}

// read reads a report, and the attachment that it names.
func (s *site) read(j *job, id string) *report {
	row := s.inst.Record("ecc_queue", id)
	r := &report{row: row}
	if err := xml.Unmarshal([]byte(row["payload"]), r); err != nil {
		s.bad(j, "its report cannot be read: %v: %.300s", err, row["payload"])
		return r
	}
	if len(r.Results) == 0 || r.Results[0].File == "" {
		return r
	}
	for _, a := range s.inst.Attachments(j.id) {
		if a.SysID != r.Results[0].File {
			continue
		}
		r = &report{row: row}
		if err := xml.Unmarshal(a.Content, r); err != nil {
			s.bad(j, "its attached result cannot be read: %v", err)
		}
		return r
	}
	s.bad(j, "its report names an attachment that is not there")
	return r
}

// tally is what came of a site's jobs.
type tally struct{ jobs, unknown, commands, runAgain, lost, doubled, repeated int }

// check compares what came of every job with what was asked for.
func (s *site) check() tally {
	t := tally{jobs: len(s.jobs)}
	effects := s.effectsOf()
	for _, j := range s.jobs {
		t.runAgain += j.reports - 1
		reports := s.reports(j)
		if n := effects[j.mark]; j.mark != "" && n > 1 {
			t.doubled++
			s.bad(j, "its effect happened %d times", n)
		}
		switch {
		case len(reports) < j.reports:
			t.lost++
			s.bad(j, "has %d reports, want %d", len(reports), j.reports)
			continue
		case len(reports) > j.reports:
			t.repeated++
			s.bad(j, "has %d reports, want %d", len(reports), j.reports)
		}
		if state := s.inst.Record("ecc_queue", j.id)["state"]; state != "processed" {
			s.bad(j, "is shown as %s", state)
		}
		for _, id := range reports {
			r := s.read(j, id)
			if r.result() == "unknown" {
				t.unknown++
				if j.kind == command {
					t.commands++
				}
			}
			if s.judge(j, r, effects[j.mark]) {
				t.lost++
			}
		}
	}
	return t
}

// judge looks at one report. It reports whether the job's effect is lost.
func (s *site) judge(j *job, r *report, effects int) (lost bool) {
	switch result := r.result(); {
	case result == "unknown" && s.mayBeUnknown(j, r):
	case result == "succeeded" && j.kind == endless && s.killedBetween(j.put, r, false):
		// diag.wait counts a wait before it waits: a call that was cut off there
		// goes on as if the time were over.
	case result != j.kind.wants():
		s.bad(j, "ended as %q, want %q: %.500s", result, j.kind.wants(), r.row["payload"])
	case result == "succeeded" && j.mark != "" && effects == 0:
		s.bad(j, "succeeded, it says, and had no effect")
		return true
	case result != "succeeded" && j.mark != "" && effects != 0:
		s.bad(j, "had its effect, and was reported as %s", result)
	case j.kind == command:
		s.judgeOutput(j, r)
	case j.kind == echo && !strings.Contains(r.Results[0].Output, "hello"),
		j.kind == attached && !strings.Contains(r.Results[0].Output, "from the attachment"):
		s.bad(j, "reports %.300s", r.row["payload"])
	}
	return false
}

// judgeOutput compares the output of a command, byte by byte.
func (s *site) judgeOutput(j *job, r *report) {
	switch {
	case len(r.Results) != 1:
		s.bad(j, "reports %d results", len(r.Results))
	case r.Results[0].Stdout != j.output():
		s.bad(j, "reports %d bytes of output, want %d, ending in %q", len(r.Results[0].Stdout), len(j.output()), tail(r.Results[0].Stdout, 60))
	case r.Results[0].Stderr != j.errors():
		s.bad(j, "reports %d bytes of errors, want %d, ending in %q", len(r.Results[0].Stderr), len(j.errors()), tail(r.Results[0].Stderr, 60))
	case r.Results[0].ExitCode != strconv.Itoa(j.code):
		s.bad(j, "reports exit code %s, want %d", r.Results[0].ExitCode, j.code)
	}
}

// mayBeUnknown reports whether a process that did the job was killed while it
// was at it: the runner for a command, the agent for a call of its own that
// must not be repeated. When the job was started the journal knows alone.
func (s *site) mayBeUnknown(j *job, r *report) bool {
	if j.kind != command && j.mark == "" {
		return false
	}
	started := s.started(j)
	if started.Before(j.put) {
		return false
	}
	return s.killedBetween(started, r, j.kind == command)
}

// killedBetween reports whether the agent, or the runner, was killed between a
// time and a report's arrival.
func (s *site) killedBetween(from time.Time, r *report, runner bool) bool {
	came := s.arrival(r.row["sys_id"])
	return slices.ContainsFunc(s.kills, func(k kill) bool { return k.runner == runner && k.at.After(from) && k.at.Before(came) })
}

// started returns when the run of a job that may have run was started.
func (s *site) started(j *job) time.Time {
	c, err := s.dial(s.Context())
	if err != nil {
		s.Fatalf("ask the agent: %v", err)
	}
	defer c.Close()
	if j.kind == wandering { // the first run was mostly released
		if d, err := c.Job(s.Context(), "sim/"+j.id+"#2"); err == nil {
			return d.Started
		}
	}
	d, err := c.Job(s.Context(), "sim/"+j.id)
	if err != nil {
		s.Errorf("ask for the job of %s: %v", j.id, err)
	}
	return d.Started
}

// effectsOf counts the lines of the effects file. A new run of a job counts as
// the same job.
func (s *site) effectsOf() map[string]int {
	counts := map[string]int{}
	data, err := os.ReadFile(s.effects)
	if err != nil {
		s.Error(err)
	}
	for line := range strings.Lines(string(data)) {
		mark, _, _ := strings.Cut(strings.TrimSpace(line), "#")
		counts[mark]++
	}
	return counts
}

// bad fails the test for a job, with what the agent knows of it.
func (s *site) bad(j *job, format string, args ...any) {
	s.Helper()
	s.Errorf("site %d: job %s (%s): "+format, append([]any{s.number, j.id, j.kind}, args...)...)
	show := exec.CommandContext(s.Context(), program, "jobs", "show", "sim/"+j.id, "--config", s.config())
	if text, err := show.CombinedOutput(); err == nil || len(text) > 0 {
		s.Logf("the journal's view:\n%s", text)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "agent.log"))
	if err != nil {
		s.Log(err)
		return
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, j.id) {
			lines = append(lines, line[:min(len(line), 400)])
		}
	}
	s.Logf("the agent's log of it:\n%s", strings.Join(lines[max(0, len(lines)-25):], ""))
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
