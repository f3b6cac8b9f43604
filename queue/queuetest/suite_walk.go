package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// walks makes random walks: the same calls to the store and to Memory, with
// restarts between, must have the same results.
func walks(t *testing.T, f Factory) {
	t.Helper()
	n, steps := f.Walks, f.Steps
	if n == 0 {
		n = 8
	}
	if steps == 0 {
		steps = 400
	}
	if f.Seed != 0 {
		n = 1
	}
	for range n {
		seed := f.Seed
		if seed == 0 {
			seed = rand.Uint64() //nolint:gosec // chance, not secrecy
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := newStore(t, f)
			w := &walk{
				store: s, model: NewMemory(s.clock.Now),
				rng: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // reproducible on purpose
			}
			for i := 0; i < steps && !t.Failed(); i++ {
				w.step()
			}
			w.compareAll()
			if t.Failed() {
				last := w.calls[max(0, len(w.calls)-25):]
				t.Logf("Factory{Seed: %d} repeats this walk; its last calls:\n%s", seed, strings.Join(last, "\n"))
			}
		})
	}
}

// walk is one random walk.
type walk struct {
	*store
	model *Memory
	rng   *rand.Rand
	ids   []queue.ID // of jobs that were put, forgotten ones too
	calls []string
}

func (w *walk) logf(format string, args ...any) {
	w.calls = append(w.calls, fmt.Sprintf(format, args...))
}

// step makes one call, chosen by chance.
func (w *walk) step() {
	w.t.Helper()
	switch n := w.rng.IntN(100); {
	case n < 14 || len(w.ids) == 0:
		w.put()
	case n < 46:
		w.advance()
	case n < 52:
		w.spool()
	case n < 59:
		w.mark()
	case n < 64:
		w.save()
	case n < 80:
		w.lease()
	case n < 83:
		id := w.some()
		w.logf("unlease %s", id)
		w.Unlease(id)
		w.model.Unlease(id)
	case n < 88:
		d := time.Duration(w.rng.Int64N(int64(3 * time.Hour)))
		w.logf("%v pass", d)
		w.clock.add(d)
	case n < 90:
		w.forget()
	case n < 92:
		w.logf("restart")
		w.reopen()
		w.model.Reopen()
	case n < 95:
		w.compareAll()
	default:
		w.compareSome()
	}
}

// some returns the id of a job, of the younger half more often.
func (w *walk) some() queue.ID {
	if w.rng.IntN(40) == 0 {
		return "prod/nobody"
	}
	first := 0
	if w.rng.IntN(3) > 0 {
		first = len(w.ids) / 2
	}
	return w.ids[first+w.rng.IntN(len(w.ids)-first)]
}

// agree checks that both gave the same error.
func (w *walk) agree(what string, got, want error) bool {
	w.t.Helper()
	for _, e := range []error{queue.ErrConflict, queue.ErrNotFound} {
		if errors.Is(got, e) != errors.Is(want, e) {
			w.t.Errorf("%s: %v, want %v", what, got, want)
			return false
		}
	}
	if (got == nil) != (want == nil) {
		w.t.Errorf("%s: %v, want %v", what, got, want)
		return false
	}
	return got == nil
}

func (w *walk) body() []byte {
	n := []int{0, 10, 10, 10, 300, 66_000}[w.rng.IntN(6)]
	return noise(n, w.rng.Uint64())
}

func (w *walk) put() {
	var entries []queue.Entry
	for range 1 + w.rng.IntN(3) {
		e := w.entry(func(j *queue.Job) {
			j.Priority = w.rng.IntN(4)
			j.Pool = queue.PoolOf(j.Priority)
			j.Instance = []string{"prod", "dev"}[w.rng.IntN(2)]
			j.Target = []string{"a", "b"}[w.rng.IntN(2)]
			j.Lane = []string{"", "l1", "l2"}[w.rng.IntN(3)]
			j.Sequence = fmt.Sprintf("%x-%06d", w.rng.IntN(16), len(w.ids)+w.jobs)
			w.again(j)
		})
		e.Message = w.body()
		entries = append(entries, e)
		w.ids = append(w.ids, e.Job.ID)
		w.logf("put %s", e.Job.ID)
	}
	got, err := w.Put(w.ctx, entries)
	want, modelErr := w.model.Put(w.ctx, entries)
	w.agree("put", err, modelErr)
	w.same("added", got, want)
}

// again sometimes makes the job one that is known, or its next run.
func (w *walk) again(j *queue.Job) {
	if len(w.ids) == 0 || w.rng.IntN(4) > 0 {
		return
	}
	instance, sysID, run, err := w.some().Split()
	if err != nil || sysID == "nobody" {
		return
	}
	j.Instance, j.SysID, j.Run = instance, sysID, run
	if seen, _ := w.model.Known(w.ctx, instance, []string{sysID}); seen[sysID].Job.Run > 0 && w.rng.IntN(2) == 0 {
		j.Run = seen[sysID].Job.Run + 1
	}
}

// random returns a move that is, mostly, possible after the earlier ones of
// its call; often it is the next move of one of their jobs.
func (w *walk) random(earlier []queue.Transition) queue.Transition {
	id := w.some()
	if len(earlier) > 0 && w.rng.IntN(2) == 0 {
		id = earlier[w.rng.IntN(len(earlier))].Job
	}
	j, _ := w.model.Get(w.ctx, id)
	from := j.Status.State
	for _, m := range earlier {
		if m.Job == id {
			from = m.To
		}
	}
	var next []queue.State
	for _, to := range queue.States() {
		if from.CanBecome(to) {
			next = append(next, to)
		}
	}
	if len(next) == 0 || w.rng.IntN(25) == 0 {
		next = queue.States()
	}
	m := w.move(id, from, next[w.rng.IntN(len(next))])
	w.fill(&m)
	return m
}

// fill sets the fields that the move may have.
func (w *walk) fill(m *queue.Transition) {
	if w.rng.IntN(3) == 0 {
		m.ModCount = int64(w.rng.IntN(9))
	}
	switch m.To {
	case queue.Held, queue.Waiting:
		m.Why = fmt.Sprintf("why %d", w.rng.IntN(9))
		if w.rng.IntN(5) > 0 {
			m.Until = m.At.Add(time.Duration(w.rng.Int64N(int64(4*time.Hour))) - time.Hour)
		}
		m.Retry = m.To == queue.Waiting && w.rng.IntN(2) == 0
	case queue.Claimed:
		if m.From == queue.Held {
			m.Approved = []string{"", "amy", "bob"}[w.rng.IntN(3)]
		}
	case queue.Finished:
		m.Result = queue.Results()[w.rng.IntN(len(queue.Results()))]
		m.Outcome = w.body()
		m.Why = []string{"", "exit 1"}[w.rng.IntN(2)]
	case queue.Released:
		m.Why = "not ours"
	case queue.Delivered:
		m.Report = strconv.FormatUint(w.rng.Uint64(), 16)
	default:
	}
}

func (w *walk) advance() {
	var moves []queue.Transition
	for range 1 + w.rng.IntN(3) {
		m := w.random(moves)
		moves = append(moves, m)
		w.logf("move %s from %s to %s", m.Job, m.From, m.To)
	}
	w.agree("advance", w.Advance(w.ctx, moves...), w.model.Advance(w.ctx, moves...))
}

// spool finishes a job, where it can be, with a spooled body.
func (w *walk) spool() {
	id := w.some()
	j, _ := w.model.Get(w.ctx, id)
	body := w.body()
	w.logf("finish %s, which is %s, with %d spooled bytes", id, j.Status.State, len(body))
	m := w.move(id, j.Status.State, queue.Finished)
	m.Outcome, m.Spool = nil, w.spooled(body)
	err := w.Advance(w.ctx, m)
	sp, _ := w.model.Spool(w.ctx)
	_, _ = sp.Write(body)
	m.Spool, _ = sp.Done()
	w.agree("finish", err, w.model.Advance(w.ctx, m))
}

func (w *walk) mark() {
	var marks []queue.Mark
	for range 1 + w.rng.IntN(2) {
		m := queue.Mark{Job: w.some()}
		switch w.rng.IntN(6) {
		case 0:
			m.ModCount = int64(1 + w.rng.IntN(50))
		case 1:
			m.Sent = w.at()
		case 2:
			m.Unsent = true
		case 3:
			m.Parts, m.Report = 1+w.rng.IntN(5), "part"
		default:
			// A due time is for jobs that wait.
			j, _ := w.model.Get(w.ctx, m.Job)
			if j.Status.State == queue.Held || j.Status.State == queue.Waiting {
				m.Until = w.clock.Now().Add(time.Duration(w.rng.Int64N(int64(2*time.Hour))) - time.Hour)
				m.Why = "another time"
			}
		}
		marks = append(marks, m)
		w.logf("mark %+v", m)
	}
	w.agree("mark", w.Mark(w.ctx, marks...), w.model.Mark(w.ctx, marks...))
}

func (w *walk) save() {
	id, body := w.some(), w.body()
	w.logf("save %d bytes for %s", len(body), id)
	w.agree("save", w.Save(w.ctx, id, body), w.model.Save(w.ctx, id, body))
}

// lease leases from some of the slots.
func (w *walk) lease() {
	target, lane := []string{"", "a", "b"}[w.rng.IntN(3)], []string{"none", "l1", "l2"}[w.rng.IntN(3)]
	free := func(slot queue.Slot) bool { return slot.Target != target && slot.Lane != lane }
	got, err := w.Lease(w.ctx, free)
	want, modelErr := w.model.Lease(w.ctx, free)
	w.agree("lease", err, modelErr)
	w.same("leased", got, want)
	if want != nil {
		w.logf("leased %s", want.ID)
	}
}

func (w *walk) forget() {
	w.clock.add(12 * time.Hour)
	before := w.clock.Now().Add(-time.Duration(w.rng.Int64N(int64(48 * time.Hour))))
	w.logf("forget what was before %v", before)
	got, err := w.Forget(w.ctx, before)
	want, modelErr := w.model.Forget(w.ctx, before)
	w.agree("forget", err, modelErr)
	w.same("dropped", got, want)
}
