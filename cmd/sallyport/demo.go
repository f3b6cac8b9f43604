package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/demo"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// demoFlags are the flags of the command.
type demoFlags struct {
	jobs  int
	crash bool
	exit  bool
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use: "demo", Short: "Show the agent at work with a simulated instance; needs no configuration",
		Long: "Start a simulated ServiceNow instance and an agent, put a realistic day of work into\n" +
			"the queue, and show it moving. With --crash the agent is killed again and again\n" +
			"meanwhile. What was lost or doubled is counted on the instance's side.",
	}
	c.Flags().IntVar(&f.jobs, "jobs", 120, "`NUMBER` of jobs")
	c.Flags().BoolVar(&f.crash, "crash", false, "kill the agent (SIGKILL) again and again")
	c.Flags().BoolVar(&f.exit, "exit", false, "end when all jobs are reported; exit code 0 only if nothing was lost or doubled")
	return leaf(a, c,
		func(ctx context.Context, _ []string) (demo.Result, error) { return a.demo(ctx, f) },
		showDemo)
}

func (a *app) demo(ctx context.Context, f demoFlags) (demo.Result, error) {
	if f.jobs < 1 || f.jobs > 100_000 {
		return demo.Result{}, usage("read --jobs", strconv.Itoa(f.jobs), "use a number from 1 to 100000")
	}
	exe, err := os.Executable()
	if err != nil {
		return demo.Result{}, fault.New(fault.Internal, "find", "this program", err).WithHint("start it by its whole path")
	}
	dir, err := demo.TempDir()
	if err != nil {
		return demo.Result{}, err
	}
	s := &demoScreen{app: a}
	o := demo.Options{
		Program: []string{exe, "run", "--config"}, Dir: dir, Jobs: f.jobs, Crash: f.crash, Stay: !f.exit,
	}
	if f.exit {
		o.Within = 3*time.Minute + time.Duration(f.jobs)*50*time.Millisecond
	}
	if a.output == formText {
		o.Show = s.show
	}
	r, err := demo.Run(ctx, o)
	s.end()
	if err != nil && !errors.Is(err, context.Canceled) {
		return r, err // the folder stays, with the agent's log
	}
	if err := os.RemoveAll(dir); err != nil {
		put(a.err, "left behind: "+dir+"\n")
	}
	if f.exit && !r.Good() {
		return r, &grade{code: codeInternal}
	}
	return r, nil
}

func showDemo(w io.Writer, r demo.Result) error {
	var f facts
	f.add("jobs", fmt.Sprintf("%d put, %d taken, %d reported", r.Jobs, r.Taken, r.Delivered))
	f.add("of them", fmt.Sprintf("%d failed, %d denied, %d unknown", r.Failed, r.Denied, r.Unknown))
	f.add("lost", strconv.Itoa(r.Lost))
	f.add("doubled", fmt.Sprintf("%d effects, %d reports", r.Doubled, r.Repeated))
	f.add("killed", fmt.Sprintf("%d times", r.Kills))
	f.add("took", fmt.Sprintf("%.1f s", r.Seconds))
	return f.write(w)
}

// demoScreen shows a demo: in place on a terminal, and a line now and then
// elsewhere.
type demoScreen struct {
	app   *app
	lines int // shown last, to be overwritten
	last  time.Time
	page  bool
}

func (s *demoScreen) show(v demo.View) {
	if !terminal(s.app.out) {
		s.plain(v)
		return
	}
	lines := demoLines(v)
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	for _, l := range lines {
		b.WriteString("\x1b[2K" + cut(l, width) + "\n")
	}
	for range s.lines - len(lines) {
		b.WriteString("\x1b[2K\n")
	}
	s.lines = max(s.lines, len(lines))
	put(s.app.out, b.String())
}

// plain writes a line every two seconds.
func (s *demoScreen) plain(v demo.View) {
	if !s.page {
		put(s.app.out, "the instance's queue in a browser: "+v.Page+"\n")
		s.page = true
	}
	if s.app.now().Sub(s.last) < 2*time.Second {
		return
	}
	s.last = s.app.now()
	put(s.app.out, fmt.Sprintf("%5.1fs  %d of %d reported, %d running, %d waiting, killed %d times\n",
		v.Elapsed.Seconds(), v.Count.Delivered, v.Count.Jobs, len(v.Running), len(v.Waiting), v.Kills))
}

func (s *demoScreen) end() {
	if s.lines > 0 {
		put(s.app.out, "\n")
	}
}

// put shows progress. A terminal that is gone is no reason to stop what is shown.
func put(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

// demoLines draws how things stand.
func demoLines(v demo.View) []string {
	c := v.Count
	lines := []string{
		fmt.Sprintf("Sallyport demo   %5.1fs   agent %s, killed %d times", v.Elapsed.Seconds(), v.Agent, v.Kills),
		"the instance's queue in a browser: " + v.Page,
		"",
		bar("taken", c.Taken, c.Jobs),
		bar("reported", c.Delivered, c.Jobs),
		fmt.Sprintf("  of them %d failed, %d denied, %d unknown    lost %d, doubled %d", c.Failed, c.Denied, c.Unknown, c.Lost, c.Doubled+c.Repeated),
		"",
		fmt.Sprintf("running %d, waiting or held %d", len(v.Running), len(v.Waiting)),
	}
	const most = 5
	for _, r := range v.Running[:min(most, len(v.Running))] {
		lines = append(lines, fmt.Sprintf("  ▶ %-14s %s %s", r.Action, cut(clean(r.Name), 40), r.Progress))
	}
	for _, w := range v.Waiting[:min(most, len(v.Waiting))] {
		lines = append(lines, fmt.Sprintf("  ⏸ %-14s %s", w.State, cut(clean(w.Why), 55)))
	}
	for len(lines) < 8+2*most {
		lines = append(lines, "")
	}
	return append(lines, "Ctrl-C ends it.")
}

func bar(name string, n, of int) string {
	const columns = 40
	full := 0
	if of > 0 {
		full = n * columns / of
	}
	return fmt.Sprintf("  %-9s %s%s %d/%d", name, strings.Repeat("█", full), strings.Repeat("░", columns-full), n, of)
}
