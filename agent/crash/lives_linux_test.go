package crash_test

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// life is one planned life of an agent, from its start to its SIGKILL.
type life struct {
	point string // where it kills itself; "" is a random moment
	tries int    // how often that was tried before
	// first is the point at which the life before must end, so that this one
	// can be reached.
	first string
}

// mostTries bounds how often a point is tried that is not reached.
const mostTries = 6

// patience is how long an agent has to reach its point.
func patience() time.Duration {
	if thorough() {
		return 5 * time.Second
	}
	return 2 * time.Second
}

// live starts an agent, lets it work and be killed, and does to its jobs what
// people and the instance do while it is down. It reports whether the agent died
// at its point.
func (s *site) live(round int, l life) bool {
	s.feed(round, l.point)
	if l.first != "" {
		s.live(round, life{point: l.first, tries: 1})
	}
	s.misbehave(l.point)
	if strings.HasPrefix(l.point, "intake.settle") {
		s.claimLate()
	}
	_ = os.Remove(s.hitFile()) // mostly there is none
	s.start(l.point, 1+s.nth(l))
	ctx, cancel := context.WithCancel(s.Context())
	operator := make(chan struct{})
	go func() {
		defer close(operator)
		s.operate(ctx)
	}()
	most := patience()
	if l.point == "" {
		most = 20*time.Millisecond + time.Duration(s.rng.Int64N(int64(1500*time.Millisecond)))
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	ended := false
	select {
	case <-s.process.Ended():
		ended = true
	case <-timer.C:
	}
	s.process.Kill()
	cancel()
	<-operator
	hit := s.died(l)
	if ended && !hit {
		s.Errorf("site %d: the agent ended by itself; its log ends with:\n%s", s.number, s.process.LogTail(2000))
	}
	if s.spoils() && s.rng.IntN(5) == 0 {
		s.killRunner()
	}
	s.meddle()
	return hit
}

// nth is how many passes of a point are let go.
func (s *site) nth(l life) int {
	if l.tries > 0 || s.rng.IntN(2) == 0 {
		return 0
	}
	return s.rng.IntN(3)
}

// spoils reports whether the site's runner is killed too.
func (s *site) spoils() bool { return s.number%2 == 1 }

// died notes how an agent died.
func (s *site) died(l life) bool {
	at := time.Now()
	text, err := os.ReadFile(s.hitFile())
	hit := err == nil && string(text) == l.point
	s.kills = append(s.kills, kill{at: at, point: l.point})
	if hit {
		s.hits[l.point]++
	} else if l.point != "" {
		s.Logf("site %d: not at %s within %v", s.number, l.point, patience())
	}
	return hit
}

// operate does what an operator does, until ctx ends: it approves what is held,
// and cancels what nobody wants.
func (s *site) operate(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c, err := s.dial(ctx)
		if err != nil {
			continue // it is starting or dead
		}
		s.decide(ctx, c)
		c.Close()
	}
}

func (s *site) decide(ctx context.Context, c *control.Client) {
	for _, state := range []string{"held", "waiting"} {
		list, err := c.Jobs(ctx, control.Filter{State: state, Limit: 500})
		if err != nil {
			return // it was killed meanwhile
		}
		for _, w := range list {
			j := s.byID[sysID(w.ID)]
			switch {
			case j == nil:
			case j.kind == refused && state == "held", j.kind == endless && state == "waiting":
				_ = c.Cancel(ctx, w.ID) // tried again in a moment
			case j.kind == held && state == "held", j.kind == wandering && j.moved && !j.away && state == "held":
				_ = c.Approve(ctx, w.ID)
			}
		}
	}
}

// sysID takes the record's id from a job's.
func sysID(id string) string {
	_, id, _ = strings.Cut(id, "/")
	id, _, _ = strings.Cut(id, "#")
	return id
}

// meddle is what happens on the instance while the agent is down.
func (s *site) meddle() {
	for _, j := range s.jobs {
		switch {
		case j.kind == wandering && !j.moved:
			j.moved, j.away = true, s.inst.Reassign(j.id, stranger)
		case j.kind == wandering && j.away && s.rng.IntN(3) == 0:
			s.bringBack(j)
		case j.kind == refused && !j.touched && len(s.reports(j)) == 0:
			// Run again on what has not run: seen with a higher count.
			j.touched = s.inst.RunAgain(j.id)
		}
	}
	if s.rng.IntN(2) == 0 {
		s.claimLate()
		return
	}
	j := s.settled()
	if j != nil && (j.kind == echo || j.kind == appends || j.kind == command || j.kind == denied) {
		j.touched = s.inst.RunAgain(j.id)
		j.reports++
	}
}

// claimLate is a claim that the instance executes late, over a report.
func (s *site) claimLate() {
	if j := s.settled(); j != nil {
		j.touched = true
		s.update(j, simulator.Record{"state": "processing"})
	}
}

// settled returns a job that was answered a while ago and left alone since, nil
// when there is none.
func (s *site) settled() *job {
	const recent = 60
	list := s.jobs[max(0, len(s.jobs)-recent):]
	for _, i := range s.rng.Perm(len(list)) {
		if j := list[i]; !j.touched && j.put.Before(time.Now().Add(-2*time.Second)) && s.answered(j) {
			return j
		}
	}
	return nil
}

func (s *site) bringBack(j *job) {
	j.away = false
	s.update(j, simulator.Record{"agent": me, "state": "ready"})
}

func (s *site) update(j *job, r simulator.Record) {
	if err := s.inst.Update("ecc_queue", j.id, r); err != nil {
		s.Fatal(err)
	}
}

// answered reports whether a job has all its reports and is processed.
func (s *site) answered(j *job) bool {
	return len(s.reports(j)) >= j.reports && s.inst.Record("ecc_queue", j.id)["state"] == "processed"
}
