package crash_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// enough is from how many kills on every point must have been hit.
const enough = 200

// thorough reports whether the run is one that must hit every point.
func thorough() bool { return *kills >= enough || *long > 0 }

// siteCount is how many agents are at work at the same time.
func siteCount() int {
	if *many > 0 {
		return *many
	}
	return min(4, max(2, *kills/20))
}

// TestCrashes kills agents again and again, and counts what came of their work.
func TestCrashes(t *testing.T) {
	t.Parallel()
	chosen := *seed
	if chosen == 0 {
		chosen = uint64(time.Now().UnixNano())
	}
	t.Logf("replay the choices with: go test ./agent/crash -kills %d -seed %d", *kills, chosen)
	s := &summary{hits: map[string]int{}}
	plans := plan(chosen, *kills, siteCount())
	began := time.Now()
	t.Cleanup(func() { s.end(t, time.Since(began)) })
	for i, lives := range plans {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s.add(play(newSite(t, i, chosen), lives, began))
		})
	}
}

// plan deals lives out to sites: each point in turn and, as often, a random
// moment.
func plan(seed uint64, kills, sites int) [][]life {
	rng := rand.New(rand.NewPCG(seed, 1<<40))
	var all []string
	for len(all) < kills {
		list := points()
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		all = append(all, list...)
	}
	plans := make([][]life, sites)
	for i := range kills {
		l := life{}
		if i%3 != 2 {
			l = at(all[0])
			all = all[1:]
		}
		plans[i%sites] = append(plans[i%sites], l)
	}
	return plans
}

// at is a life that ends at a point, with what must be before it.
func at(point string) life {
	l := life{point: point}
	switch {
	case strings.HasPrefix(point, "queue.received>released"):
		l.first = "intake.claim:before" // journaled, not claimed, and then given away
	case strings.HasPrefix(point, "queue.held>released"), strings.HasPrefix(point, "queue.mark.seen"):
		l.first = "queue.claimed>held:after"
	}
	return l
}

// play lives the lives of a site, and checks what came of them.
func play(s *site, lives []life, began time.Time) (*site, tally) {
	for round := 0; len(lives) > 0; round++ {
		l := lives[0]
		lives = lives[1:]
		if !s.live(round, l) && l.point != "" && thorough() && l.tries < mostTries {
			l.tries++
			lives = append(lives, l)
		}
		if len(lives) == 0 && time.Since(began) < *long {
			lives = plan(s.rng.Uint64(), 50, 1)[0]
		}
	}
	s.finish()
	result := s.check()
	s.stop()
	return s, result
}

// stop ends the last agent in order.
func (s *site) stop() {
	s.Helper()
	if err := s.process.Stop(20 * time.Second); err != nil {
		s.Error(err)
	}
}

// summary is what came of all sites.
type summary struct {
	mu            sync.Mutex
	hits          map[string]int
	total         tally
	kills, runner int
}

func (s *summary) add(from *site, t tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, n := range from.hits {
		s.hits[p] += n
	}
	for _, k := range from.kills {
		if k.runner {
			s.runner++
		} else {
			s.kills++
		}
	}
	s.total.jobs += t.jobs
	s.total.unknown += t.unknown
	s.total.commands += t.commands
	s.total.runAgain += t.runAgain
	s.total.lost += t.lost
	s.total.doubled += t.doubled
	s.total.repeated += t.repeated
}

// end prints what came of all, and fails the test where the table of points has
// a hole.
func (s *summary) end(t *testing.T, took time.Duration) {
	t.Helper()
	var table strings.Builder
	for _, p := range points() {
		fmt.Fprintf(&table, "%5d  %s\n", s.hits[p], p)
		if s.hits[p] == 0 && thorough() {
			t.Errorf("no agent died at %s", p)
		}
	}
	t.Logf("agents that died at each point:\n%s", table.String())
	t.Logf("%d kills of agents (%d at %d of %d points) and %d of runners in %v: %d jobs, %d run again; %d unknown (%d of them commands, where the runner died), %d lost, %d doubled, %d reported twice",
		s.kills, sum(s.hits), len(s.hits), len(points()), s.runner, took.Round(time.Second),
		s.total.jobs, s.total.runAgain, s.total.unknown, s.total.commands, s.total.lost, s.total.doubled, s.total.repeated)
}

func sum(m map[string]int) int {
	n := 0
	for v := range maps.Values(m) {
		n += v
	}
	return n
}
