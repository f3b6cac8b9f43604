package intake

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Timing is how often Run makes a round.
type Timing struct {
	// Poll is the interval between rounds when nothing wakes it.
	Poll time.Duration
	// Most is the longest interval that failures can stretch it to; zero means
	// one minute.
	Most time.Duration
}

// Run makes rounds until ctx ends: every Poll, on Wake, and as soon as there
// is room where a round left work behind. Failures stretch the interval, and
// a wait that the instance asks for is kept.
func (in *Intake) Run(ctx context.Context, t Timing) {
	if t.Most == 0 {
		t.Most = time.Minute
	}
	failures := 0
	for ctx.Err() == nil {
		res, err := in.Step(ctx)
		wait := t.Poll
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			wait = stretch(t, failures, fault.RetryAfterOf(err))
			in.Log.WarnContext(ctx, "round failed", slog.Any("err", err), slog.String("hint", fault.HintOf(err)), slog.Duration("next", wait))
		default:
			failures = 0
		}
		if !in.rest(ctx, wait, err == nil && res.More) {
			return
		}
	}
}

// stretch returns the wait after a number of failures in a row.
func stretch(t Timing, failures int, asked time.Duration) time.Duration {
	wait := t.Poll << min(failures, 10)
	return max(min(wait, t.Most), asked)
}

// rest waits for the interval, a wake-up or, where work was left behind, room.
// It is false when ctx ended.
func (in *Intake) rest(ctx context.Context, wait time.Duration, more bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var room <-chan time.Time
	if more {
		look := time.NewTicker(roomEvery)
		defer look.Stop()
		room = look.C
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-in.wake:
			return true
		case <-room:
			if in.roomy() {
				return true
			}
		}
	}
}

// roomEvery is how often room is looked for while work waits on the instance:
// short against the time that a full pool takes to drain.
const roomEvery = 2 * time.Millisecond

// roomy reports whether a pool drained to half its bound, so that the next
// round takes a page that is worth a claim.
func (in *Intake) roomy() bool {
	have := in.Queue.Counts().Unstarted[in.Instance]
	for pool, most := range in.Bounds {
		if have[pool] <= most/2 && in.wanted[pool] {
			return true
		}
	}
	return false
}
