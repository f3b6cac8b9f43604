package dispatch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// Run is a job that is running, as status shows it.
type Run struct {
	Job      queue.Job
	Since    time.Time
	Percent  int // below zero: not known
	Progress string
}

// running knows the attempts under way.
type running struct {
	mu   sync.Mutex
	runs map[queue.ID]*run
}

type run struct {
	Run
	cancel context.CancelCauseFunc
}

func newRunning() *running {
	return &running{runs: map[queue.ID]*run{}}
}

func (r *running) add(job queue.Job, since time.Time, cancel context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[job.ID] = &run{Run: Run{Job: job, Since: since, Percent: -1}, cancel: cancel}
}

func (r *running) remove(id queue.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, id)
}

func (r *running) progress(id queue.ID, percent int, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.runs[id]; run != nil {
		run.Percent, run.Progress = percent, text
	}
}

func (r *running) cancel(id queue.ID, cause error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.runs[id]
	if run == nil {
		return false
	}
	run.cancel(cause)
	return true
}

func (r *running) list() []Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Run, 0, len(r.runs))
	for _, run := range r.runs {
		list = append(list, run.Run)
	}
	slices.SortFunc(list, func(a, b Run) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(string(a.Job.ID), string(b.Job.ID))
	})
	return list
}

// Running returns the jobs that are running, the longest running first.
func (d *Dispatcher) Running() []Run { return d.running.list() }

// Busy returns how many workers of each pool are busy.
func (d *Dispatcher) Busy() queue.PoolCounts { return d.slots.used() }
