package schedule_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"
)

// crashed unwinds a coroutine whose process was killed.
type crashed struct{}

// coroutine is one line of work of the agent's process. It runs until it calls
// world.point or world.sleep.
type coroutine struct {
	name  string
	next  func() (time.Time, bool) // resumes it; the time is when it wants to go on
	stop  func()
	until time.Time
	yield func(time.Time) bool
}

// world is one schedule: virtual time, the coroutines of the living process,
// and the dice.
type world struct {
	rng     *rand.Rand
	now     time.Time
	all     []*coroutine
	current *coroutine
	dead    bool // the process was killed and is being unwound
	trace   []string
	broken  []string // violated promises
	steps   int
}

func newWorld(seed uint64) *world {
	return &world{
		rng: rand.New(rand.NewPCG(seed, 0x5a11)),
		now: time.Date(2100, 1, 1, 7, 0, 0, 0, time.UTC),
	}
}

func (w *world) clock() time.Time { return w.now }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) violated(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// spawn adds a coroutine to the process.
func (w *world) spawn(name string, body func()) {
	c := &coroutine{name: name, until: w.now}
	c.next, c.stop = iter.Pull(iter.Seq[time.Time](func(yield func(time.Time) bool) {
		c.yield = yield
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(crashed); !ok && !w.dead {
					w.violated("%s panicked: %v\n%s", name, r, debug.Stack())
				}
			}
		}()
		body()
	}))
	w.all = append(w.all, c)
}

// pause gives way until a time. In a killed process it never returns.
func (w *world) pause(until time.Time) {
	if w.dead || !w.current.yield(until) {
		panic(crashed{})
	}
}

// point gives way at a place where another line of work, or a crash, may come
// between.
func (w *world) point() { w.pause(w.now) }

// sleep is the Sleep of the stages.
func (w *world) sleep(_ context.Context, d time.Duration) error {
	w.pause(w.now.Add(d))
	return nil
}

// kill ends the process: every coroutine is dropped where it stands.
func (w *world) kill() {
	w.dead = true
	for _, c := range w.all {
		w.current = c
		c.stop()
	}
	w.all, w.dead = nil, false
	w.logf("--- killed")
}

// step resumes one coroutine that is due, chosen by chance; when none is due
// the clock goes on to the next.
func (w *world) step() {
	var due []int
	next := time.Time{}
	for i, c := range w.all {
		if !c.until.After(w.now) {
			due = append(due, i)
		} else if next.IsZero() || c.until.Before(next) {
			next = c.until
		}
	}
	w.steps++
	if len(due) == 0 {
		if next.IsZero() {
			next = w.now.Add(time.Second)
		}
		w.now = next
		return
	}
	i := due[w.rng.IntN(len(due))]
	c := w.all[i]
	w.current = c
	until, more := c.next()
	c.until = until
	if !more {
		w.all = append(w.all[:i], w.all[i+1:]...)
	}
	if w.chance(50) { // work takes time
		w.now = w.now.Add(time.Duration(w.rng.IntN(100)) * time.Millisecond)
	}
}

func (w *world) history() string { return strings.Join(w.trace, "\n") }
