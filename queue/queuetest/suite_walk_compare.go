package queuetest

import (
	"bytes"
	"io"
	"iter"

	"github.com/sallyport-agent/sallyport/queue"
)

// compareSome compares one job in every way that it can be read.
func (w *walk) compareSome() {
	w.t.Helper()
	id := w.some()
	got, err := w.Get(w.ctx, id)
	want, modelErr := w.model.Get(w.ctx, id)
	if w.agree("get "+string(id), err, modelErr) {
		w.same("job", got, want)
		w.compareBodies(want)
	}
	instance, sysID, _, err := id.Split()
	if err != nil {
		return
	}
	seen, err := w.model.Known(w.ctx, instance, []string{sysID})
	if err != nil {
		w.t.Errorf("known: %v", err)
	}
	ids := map[string]queue.ID{}
	for key, k := range seen {
		ids[key] = k.Job.ID
	}
	w.same("known", w.known(instance, sysID), ids)
}

// compareBodies compares the bodies that are still needed: a store may drop
// what the connector saved when the job is finished, and the rest later.
func (w *walk) compareBodies(j queue.Job) {
	w.t.Helper()
	if j.Status.State.Final() {
		return
	}
	parts := []queue.Part{queue.Message, queue.Outcome}
	if j.Status.State != queue.Finished {
		parts = append(parts, queue.Saved)
	}
	for _, part := range parts {
		want, modelErr := w.model.Open(w.ctx, j.ID, part)
		got, err := w.Open(w.ctx, j.ID, part)
		if !w.agree("open a body of "+string(j.ID), err, modelErr) {
			continue
		}
		wantBytes, _ := io.ReadAll(want) // memory does not fail
		gotBytes, err := io.ReadAll(got)
		if err != nil || !bytes.Equal(gotBytes, wantBytes) {
			w.t.Errorf("part %d of %s: %d bytes, want %d; %v", part, j.ID, len(gotBytes), len(wantBytes), err)
		}
		if err := got.Close(); err != nil {
			w.t.Errorf("close: %v", err)
		}
	}
}

// compareAll compares everything that is cheap to read.
func (w *walk) compareAll() {
	w.t.Helper()
	w.same("counts", w.countsNow(), plain(w.model.Counts()))
	w.same("unfinished", w.collect(w.Unfinished(w.ctx)), w.collect(w.model.Unfinished(w.ctx)))
	w.same("list", w.collect(w.List(w.ctx)), w.collect(w.model.List(w.ctx)))
	limit := 1 + w.rng.IntN(20)
	got, err := w.Undelivered(w.ctx, limit)
	want, modelErr := w.model.Undelivered(w.ctx, limit)
	w.agree("undelivered", err, modelErr)
	w.same("undelivered", idsOf(got), idsOf(want))
	// What is due already may count for NextDue or not.
	if next := w.model.NextDue(); next.IsZero() || next.After(w.clock.Now()) {
		w.same("next due", w.NextDue(), next)
	}
}

func (w *walk) collect(loop iter.Seq2[queue.Job, error]) []queue.Job {
	w.t.Helper()
	var jobs []queue.Job
	for j, err := range loop {
		if err != nil {
			w.t.Errorf("loop: %v", err)
			break
		}
		jobs = append(jobs, j)
	}
	return jobs
}
