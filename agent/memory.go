package agent

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// How memory is spent. At work, collecting less often costs some tens of
// megabytes and saves a fifth of the processor; at rest, what work left behind
// is given back to the system, which other programs on the host can use.
const (
	busyPercent = 400 // growth between collections at work
	idlePercent = 50  // and at rest
	restAfter   = 2 * time.Second
)

// footprint tells the work of an agent from its rest.
type footprint struct {
	progress uint64 // a number that changes with every job
	since    time.Time
	resting  bool
}

// look reports whether the agent went to rest, or back to work, since the last
// look.
func (f *footprint) look(c queue.Counts, running int, now time.Time) (changed bool) {
	progress := c.Delivered
	for _, n := range c.Results {
		progress += n
	}
	if progress != f.progress || running > 0 || f.since.IsZero() {
		f.progress, f.since = progress, now
	}
	resting := now.Sub(f.since) >= restAfter
	changed = resting != f.resting
	f.resting = resting
	return changed
}

// watchMemory follows work and rest until ctx ends. An operator's own GOGC or
// GOMEMLIMIT is left alone.
func (a *Agent) watchMemory(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	before := debug.SetGCPercent(busyPercent)
	defer debug.SetGCPercent(before)
	var f footprint
	for sleep(ctx, restAfter/2) == nil {
		if !f.look(a.queue.Counts(), len(a.dispatch.Running()), time.Now()) {
			continue
		}
		if !f.resting {
			debug.SetGCPercent(busyPercent)
			continue
		}
		debug.SetGCPercent(idlePercent)
		runtime.GC() // what pools hold survives one collection
		debug.FreeOSMemory()
		size := giveBackPages(a.conf.StateDir)
		a.log.DebugContext(ctx, "memory was given back", slog.Uint64("mapped_bytes", uint64(size)))
	}
}
