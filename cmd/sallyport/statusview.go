package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/control"
)

// maxLines bounds the running and waiting jobs on the screen, each.
const maxLines = 8

// board collects lines of a label and a text, none wider than width.
type board struct{ lines []string }

const labels = 10 // columns

func (s *board) add(label, text string) {
	for i, line := range wrap(clean(text), width-labels) {
		if i > 0 {
			label = ""
		}
		s.lines = append(s.lines, fmt.Sprintf("%-*s%s", labels, label, line))
	}
}

func (a *app) showStatus(w io.Writer, st control.Status) error {
	var s board
	now := a.now()
	s.add("agent", fmt.Sprintf("%s, version %s, pid %d, up %s, runs as %s", st.Name, st.Version, st.PID, ago(now, st.Started), st.Account))
	mode := st.Mode.State
	if st.Mode.By != "" {
		mode += " by " + st.Mode.By + " " + ago(now, st.Mode.Since) + " ago"
	}
	if st.Mode.Note != "" {
		mode += ": " + st.Mode.Note
	}
	s.add("mode", mode)
	for _, p := range ailments(st) {
		s.add("problem", p)
	}
	for _, i := range st.Instances {
		a.addInstance(&s, i)
	}
	s.add("backlog", counts(st.Jobs.States, "empty"))
	s.add("workers", workers(st.Jobs))
	s.add("results", counts(st.Jobs.Results, "none yet")+fmt.Sprintf("; %d delivered since the start", st.Jobs.Delivered))
	oldest := "nothing waits for delivery"
	if !st.Jobs.OldestUndelivered.IsZero() {
		oldest = "undelivered outcome is " + ago(now, st.Jobs.OldestUndelivered) + " old"
	}
	s.add("oldest", oldest)
	s.add("disk", fmt.Sprintf("%s used, %s free in %s", size(st.Disk.Used), size(st.Disk.Free), st.Disk.Path))
	s.add("runner", runnerText(st.Runner))
	s.add("policy", fmt.Sprintf("%s by default, %d rules", st.Policy.Default, st.Policy.Rules))
	a.addJobs(&s, st)
	for _, line := range s.lines {
		if rest, found := strings.CutPrefix(line, "problem"); found {
			line = a.paint(w, red, "problem") + rest
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) addInstance(s *board, i control.Instance) {
	text := fmt.Sprintf("%s %s, polled %s", i.Name, i.Link, ago(a.now(), i.LastPoll))
	if !i.LastPoll.IsZero() {
		text += " ago"
	}
	s.add("link", text+", as "+i.Agent)
	if i.Error != "" {
		s.add("", i.Error)
	}
	if i.Hint != "" {
		s.add("", "hint: "+i.Hint)
	}
	if i.Unreported > 0 {
		s.add("", strconv.Itoa(i.Unreported)+" outcomes not acknowledged yet")
	}
	if i.Delivery != "" {
		s.add("", "delivery: "+i.Delivery)
	}
}

func (a *app) addJobs(s *board, st control.Status) {
	s.add("running", strconv.Itoa(len(st.Running)))
	for _, r := range st.Running[:min(len(st.Running), maxLines)] {
		line := r.ID + "  " + ago(a.now(), r.Since)
		if r.Percent >= 0 {
			line += fmt.Sprintf("  %d%%", r.Percent)
		}
		line += "  " + cmp.Or(r.Name, r.Action)
		if r.Progress != "" {
			line += " (" + r.Progress + ")"
		}
		s.lines = append(s.lines, "  "+cut(clean(line), width-2))
	}
	s.add("waiting", strconv.Itoa(len(st.Waiting)))
	for _, j := range st.Waiting[:min(len(st.Waiting), maxLines)] {
		line := j.ID + "  " + j.State
		if !j.Until.IsZero() {
			line += "  due in " + rough(j.Until.Sub(a.now()))
		}
		s.lines = append(s.lines, "  "+cut(clean(line+"  "+j.Name+" ("+j.Why+")"), width-2))
	}
}

func runnerText(r control.Runner) string {
	if r.PID == 0 {
		return r.Mode + ", not started"
	}
	return fmt.Sprintf("%s, version %s, pid %d, runs jobs as %s", r.Mode, r.Version, r.PID, r.Account)
}

func workers(j control.Jobs) string {
	var parts []string
	for _, pool := range slices.Sorted(maps.Keys(j.Workers)) {
		parts = append(parts, fmt.Sprintf("%s %d of %d busy", pool, j.Busy[pool], j.Workers[pool]))
	}
	return strings.Join(parts, ", ")
}

// counts lists what is above zero, by name.
func counts[N int | uint64](m map[string]N, none string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[name], name))
		}
	}
	if len(parts) == 0 {
		return none
	}
	return strings.Join(parts, ", ")
}
