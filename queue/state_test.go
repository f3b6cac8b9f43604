package queue_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

var (
	graphPattern = regexp.MustCompile("(?s)```mermaid\nstateDiagram-v2\n(.*?)```")
	edgePattern  = regexp.MustCompile(`^    (\S+) --> (\S+)$`)
	termPattern  = regexp.MustCompile(`(?m)^- \*\*(\w+)\*\* \S`)
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTableIsDrawn compares README.md's graph with the transition table, edge
// by edge: a life begins at received and ends at each final state.
func TestTableIsDrawn(t *testing.T) {
	t.Parallel()
	graph := graphPattern.FindStringSubmatch(readme(t))
	if graph == nil {
		t.Fatal("README.md has no state diagram")
	}
	var drawn []string
	for line := range strings.Lines(graph[1]) {
		edge := edgePattern.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if edge == nil {
			t.Errorf("line %q of the diagram is no transition", line)
			continue
		}
		drawn = append(drawn, edge[1]+" → "+edge[2])
	}
	table := []string{"[*] → " + queue.Received.String()}
	for _, from := range queue.States() {
		if from.Final() {
			table = append(table, from.String()+" → [*]")
		}
		for _, to := range queue.States() {
			if from.CanBecome(to) {
				table = append(table, from.String()+" → "+to.String())
			}
		}
	}
	slices.Sort(drawn)
	slices.Sort(table)
	if d := cmp.Diff(table, drawn); d != "" {
		t.Errorf("README.md draws other transitions than the table has (-table +drawn):\n%s", d)
	}
}

// TestStatesAreExplained: README.md says what each state means, in the order
// of a job's life.
func TestStatesAreExplained(t *testing.T) {
	t.Parallel()
	var explained, states []string
	for _, term := range termPattern.FindAllStringSubmatch(readme(t), -1) {
		explained = append(explained, term[1])
	}
	for _, s := range queue.States() {
		states = append(states, s.String())
	}
	if d := cmp.Diff(states, explained); d != "" {
		t.Errorf("README.md explains other states (-states +explained):\n%s", d)
	}
}

// TestNothingRunsTwice: no way leads from an outcome back to an attempt, and
// none from a started job to one that could be given away.
func TestNothingRunsTwice(t *testing.T) {
	t.Parallel()
	reached := func(from queue.State) map[queue.State]bool {
		seen := map[queue.State]bool{}
		next := []queue.State{from}
		for len(next) > 0 {
			s := next[0]
			next = next[1:]
			for _, to := range queue.States() {
				if s.CanBecome(to) && !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
		return seen
	}
	for _, s := range queue.States() {
		from := reached(s)
		if s != queue.Received && from[queue.Received] {
			t.Errorf("%s leads back to received", s)
		}
		if (s == queue.Finished || s.Final()) && from[queue.Started] {
			t.Errorf("%s leads to another attempt", s)
		}
		for _, given := range []queue.State{queue.Claimed, queue.Held, queue.Released} {
			if !s.Unstarted() && from[given] {
				t.Errorf("%s, which may have had effects, leads to %s", s, given)
			}
		}
		if !s.Final() && s != queue.Finished && !from[queue.Finished] {
			t.Errorf("%s leads to no report", s)
		}
		if s.Final() != (len(from) == 0) {
			t.Errorf("%s: final is %t, and %d states can be reached", s, s.Final(), len(from))
		}
	}
}

func TestStateNames(t *testing.T) {
	t.Parallel()
	for _, s := range queue.States() {
		got, err := queue.ParseState(s.String())
		if err != nil || got != s {
			t.Errorf("%s parses as %s; %v", s, got, err)
		}
	}
	for _, name := range []string{"", "Started", "started ", "state(0)", "nothing"} {
		if s, err := queue.ParseState(name); err == nil || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%q parses as %s; %v", name, s, err)
		}
	}
	for s, want := range map[queue.State]string{0: "state(0)", 200: "state(200)"} {
		if got := s.String(); got != want {
			t.Errorf("name %q, want %q", got, want)
		}
		if s.CanBecome(queue.Claimed) || s.Unstarted() {
			t.Errorf("%s is no state, but may be moved", s)
		}
	}
}
