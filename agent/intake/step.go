package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/queue"
)

// Result is what a round did.
type Result struct {
	Taken int  // jobs that are new in the journal
	More  bool // work was left on the instance for lack of room
}

// Step makes one round. An error leaves everything as safe as before; the next
// round goes on from there.
func (in *Intake) Step(ctx context.Context) (Result, error) {
	res, blocked, err := in.step(ctx)
	in.mu.Lock()
	in.blocked, in.err = blocked, err
	in.mu.Unlock()
	return res, err
}

func (in *Intake) step(ctx context.Context) (Result, string, error) {
	blocked := in.Hold()
	if blocked == "" {
		if err := in.Queue.Health(ctx); err != nil {
			blocked = err.Error()
		}
	}
	var res Result
	fresh, err := in.read(ctx, blocked == "", &res)
	if err != nil {
		return res, blocked, err
	}
	if err := in.journal(ctx, fresh, &res); err != nil {
		return res, blocked, err
	}
	return res, blocked, in.verify(ctx)
}

// page is what one read found, sorted by what must happen to it.
type page struct {
	fresh   []queue.Entry  // to journal and claim
	reclaim []queue.Job    // known and unstarted: claim again
	marks   []queue.Mark   // seen with a higher count
	claims  []string       // known and past its start: claim, never run
	again   []ecc.Message  // ready again after its report was acknowledged
	seen    map[string]any // sys_ids of this round, against overlapping pages
}

// mostPages bounds how far one round reads past what it cannot take, and
// deepEvery how often it reads past a pool that is full: the instance was asked
// for the order of priority, so that behind it there is no work with room, only
// what is known and came back.
const (
	mostPages = 20
	deepEvery = 10 * time.Second
)

// read pages through the ready outputs until there is no room or nothing more.
func (in *Intake) read(ctx context.Context, take bool, res *Result) (*page, error) {
	room := in.room()
	limit := in.pageFor(room)
	in.wanted, in.passed = [3]bool{}, 0
	deep := in.Now().Sub(in.deepened) >= deepEvery
	if deep {
		in.deepened, limit = in.Now(), in.Page
	}
	p := &page{seen: map[string]any{}}
	for offset := 0; offset < mostPages*in.Page; offset += limit {
		batch, last, err := in.Remote.Ready(ctx, offset, limit)
		if err != nil {
			return nil, err
		}
		in.touch()
		if offset == 0 {
			room = in.room() // jobs were started while the page was on its way
		}
		if err := in.sort(ctx, batch, take, &room, p, res); err != nil {
			return nil, err
		}
		full := room == (queue.PoolCounts{}) || len(p.fresh) >= in.Page || !deep && behindFull(batch, room)
		if last || full || !take {
			if !last && take && !res.More {
				res.More, in.wanted = true, [3]bool{true, true, true}
			}
			return p, nil
		}
	}
	return p, nil
}

// behindFull reports whether what follows a page belongs to pools without room.
func behindFull(batch []ecc.Message, room queue.PoolCounts) bool {
	return len(batch) > 0 && queue.PoolOf(batch[len(batch)-1].Priority) == queue.Standard && room[queue.Standard] == 0
}

// pageFor returns how many records are worth reading at once: where the round
// before left standard work behind and nothing else, what stood in front of it,
// what there is room for, and what will have been started when the page arrives.
func (in *Intake) pageFor(room queue.PoolCounts) int {
	const smallest = 64
	if in.wanted != [3]bool{queue.Standard: true} {
		return in.Page
	}
	soon := in.Bounds[queue.Standard] / 4
	return min(in.Page, max(smallest, in.passed+room[queue.Standard]+soon))
}

// room returns how many unstarted jobs each pool may still take.
func (in *Intake) room() queue.PoolCounts {
	have := in.Queue.Counts().Unstarted[in.Instance]
	var room queue.PoolCounts
	for i := range room {
		room[i] = max(0, in.Bounds[i]-have[i])
	}
	return room
}

// sort decides what happens to each message of a page.
func (in *Intake) sort(ctx context.Context, batch []ecc.Message, take bool, room *queue.PoolCounts, p *page, res *Result) error {
	ids := make([]string, 0, len(batch))
	work := batch[:0:0]
	for _, m := range batch {
		if _, twice := p.seen[m.SysID]; twice {
			continue
		}
		p.seen[m.SysID] = nil
		mine, err := in.answer(ctx, m)
		if err != nil {
			return err
		}
		if !mine {
			work = append(work, m)
			ids = append(ids, m.SysID)
		}
	}
	if !take || len(work) == 0 {
		return nil
	}
	known, err := in.Queue.Known(ctx, in.Instance, ids)
	if err != nil {
		return fmt.Errorf("look up what is known: %w", err)
	}
	for _, m := range work {
		if seen, ok := known[m.SysID]; ok {
			in.passed++
			in.sortSeen(m, seen, p)
			continue
		}
		pool := queue.PoolOf(m.Priority)
		if pool != queue.Standard {
			in.passed++
		}
		if room[pool] == 0 {
			res.More, in.wanted[pool] = true, true
			continue
		}
		entry, ok := in.entry(ctx, m, 1)
		if !ok {
			continue
		}
		room[pool]--
		p.fresh = append(p.fresh, entry)
	}
	return nil
}

// answer lets the direct answers have a message, once.
func (in *Intake) answer(ctx context.Context, m ecc.Message) (bool, error) {
	if _, done := in.direct[m.SysID]; done {
		return true, nil
	}
	mine, err := in.Direct.Answer(ctx, m)
	if err != nil {
		return mine, fmt.Errorf("answer %s: %w", m.Topic, err)
	}
	if mine {
		in.direct[m.SysID] = in.Now()
		in.forgetDirect()
	}
	return mine, nil
}

// forgetDirect keeps the memory of answered messages small: the instance shows
// an answered one as processed within moments.
func (in *Intake) forgetDirect() {
	for id, at := range in.direct {
		if in.Now().Sub(at) > time.Hour {
			delete(in.direct, id)
		}
	}
}

// entry makes the durable record of a message. It is false when the message's
// payload could not be had yet; the next round tries again.
func (in *Intake) entry(ctx context.Context, m ecc.Message, run int) (queue.Entry, bool) {
	if ecc.SeeAttachment(m.Payload) {
		payload, err := in.Remote.Payload(ctx, m.SysID)
		if err != nil {
			in.Log.WarnContext(ctx, "payload attachment not read", slog.String("job", m.SysID), slog.Any("err", err))
			return queue.Entry{}, false
		}
		m.Payload = payload
	}
	r := in.Router.Route(m)
	return queue.Entry{
		Job: queue.Job{
			ID: in.id(m.SysID, run), Instance: in.Instance, SysID: m.SysID, Run: run,
			Agent: m.Agent, Topic: m.Topic, Name: display(r.Name), Source: display(r.Source),
			Correlator: m.AgentCorrelator, Sequence: m.Sequence, Priority: m.Priority, Created: m.Created, Received: in.Now(),
			Action: r.Action, Target: r.Target, Pool: queue.PoolOf(m.Priority), Lane: r.Lane,
			Status: queue.Status{State: queue.Received, ModCount: m.ModCount, Changed: in.Now()},
		},
		Message: ecc.Encode(m),
	}, true
}

// display shortens what is only shown and matched, never run.
func display(s string) string {
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// journal makes the page durable, claims it and confirms the claims.
func (in *Intake) journal(ctx context.Context, p *page, res *Result) error {
	if len(p.marks) > 0 {
		if err := in.Queue.Mark(ctx, p.marks...); err != nil {
			return fmt.Errorf("note what was seen again: %w", err)
		}
	}
	if len(p.fresh) > 0 {
		added, err := in.Queue.Put(ctx, p.fresh)
		if err != nil {
			return fmt.Errorf("journal %d messages: %w", len(p.fresh), err)
		}
		res.Taken = added
	}
	for _, m := range p.again {
		if err := in.runAgain(ctx, m, p); err != nil {
			return err
		}
	}
	unstarted := p.reclaim
	for _, e := range p.fresh {
		unstarted = append(unstarted, e.Job)
	}
	return in.claim(ctx, unstarted, p.claims)
}

// claim tells the instance that these outputs are ours, looks whether it shows
// them so, and lets those jobs be started.
func (in *Intake) claim(ctx context.Context, unstarted []queue.Job, others []string) error {
	ids := make([]string, 0, len(unstarted)+len(others))
	for _, j := range unstarted {
		ids = append(ids, j.SysID)
	}
	ids = append(ids, others...)
	if len(ids) == 0 {
		return nil
	}
	claimErr := in.Remote.Claim(ctx, ids)
	if claimErr != nil {
		in.nextAudit = in.Now().Add(auditSoon)
	}
	if len(unstarted) == 0 {
		return claimErr
	}
	// Whatever the answer was: the records tell whether the claim holds.
	return errors.Join(claimErr, in.confirm(ctx, unstarted))
}

// confirm looks at unstarted jobs on the instance and moves them by what it
// shows.
func (in *Intake) confirm(ctx context.Context, jobs []queue.Job) error {
	ids := make([]string, 0, len(jobs))
	for _, j := range jobs {
		ids = append(ids, j.SysID)
	}
	standings, err := in.Remote.Look(ctx, ids)
	if err != nil {
		return fmt.Errorf("confirm %d claims: %w", len(jobs), err)
	}
	in.touch()
	moves := make([]queue.Transition, 0, len(jobs))
	var marks []queue.Mark
	for _, j := range jobs {
		standing, shown := standings[j.SysID]
		if move, ok := in.judge(j, standing, shown); ok {
			moves = append(moves, move)
		} else if shown && standing.ModCount > j.Status.ModCount {
			marks = append(marks, queue.Mark{Job: j.ID, ModCount: standing.ModCount})
		}
	}
	if len(marks) > 0 {
		if err := in.Queue.Mark(ctx, marks...); err != nil {
			return fmt.Errorf("note what was seen again: %w", err)
		}
	}
	return in.advance(ctx, moves)
}

// judge returns the move of an unstarted job by its standing, if it has one.
func (in *Intake) judge(j queue.Job, standing Standing, shown bool) (queue.Transition, bool) {
	move := queue.Transition{Job: j.ID, From: j.Status.State, At: in.Now(), ModCount: standing.ModCount}
	switch {
	case !shown:
		in.doubts[j.ID]++
		if in.doubts[j.ID] < 3 {
			return move, false
		}
		move.To, move.Why = queue.Released, "the instance does not show the record any more"
		// Should it only have been hidden, it is found again as processing.
		in.nextAudit = in.Now().Add(auditSoon)
	case standing.Agent != j.Agent:
		move.To, move.Why = queue.Released, "the instance gave it to "+standing.Agent
	case standing.State == ecc.StateProcessing:
		delete(in.doubts, j.ID)
		if j.Status.State != queue.Received {
			return move, false
		}
		move.To = queue.Claimed
	case standing.State == ecc.StateReady:
		// It is claimed again: soon, for the claim may have to take another way,
		// and at the usual pace when that does not help.
		if in.doubts[j.ID]++; in.doubts[j.ID] <= 3 {
			in.Wake()
		}
		return move, false
	default:
		move.To, move.Why = queue.Released, "the instance shows it as "+standing.State
	}
	delete(in.doubts, j.ID)
	return move, true
}

// advance makes the moves; one that another stage overtook is left out.
func (in *Intake) advance(ctx context.Context, moves []queue.Transition) error {
	if len(moves) == 0 {
		return nil
	}
	err := in.Queue.Advance(ctx, moves...)
	if !errors.Is(err, queue.ErrConflict) {
		return err
	}
	for _, m := range moves {
		if err := in.Queue.Advance(ctx, m); err != nil && !errors.Is(err, queue.ErrConflict) {
			return err
		}
	}
	return nil
}
