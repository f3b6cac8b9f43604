package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/queue"
)

// parcel is one report on its way.
type parcel struct {
	job     queue.Job
	message ecc.Message
	parts   int // of the whole report
	size    int64
}

func (p *parcel) key() Key {
	return Key{ResponseTo: p.job.SysID, Topic: p.message.Topic, Name: p.message.Name, Agent: p.message.Agent}
}

// last reports whether the parcel is the last part of its report.
func (p *parcel) last() bool { return p.job.Status.Parts+1 >= p.parts }

// bring packs the reports, looks for those that were sent before, and posts
// the others.
func (d *Delivery) bring(ctx context.Context, jobs []queue.Job) (int, error) {
	var fresh, doubtful []*parcel
	var failures []error
	for _, j := range jobs {
		if settled := d.settled(j); d.Now().Before(settled) {
			d.postpone(j.ID, settled)
			continue
		}
		p, err := d.pack(ctx, j)
		if errors.Is(err, queue.ErrBroken) || errors.Is(err, queue.ErrNotFound) || errors.Is(err, report.ErrFormat) {
			d.Log.ErrorContext(ctx, "a report is broken, and is reported as unknown", slog.String("job", string(j.ID)), slog.Any("err", err))
			p, err = d.lost(j)
		}
		if err != nil {
			d.postpone(j.ID, d.Now().Add(time.Minute)) // its own trouble must not stop the others
			failures = append(failures, err)
			continue
		}
		if j.Status.Sent.IsZero() {
			fresh = append(fresh, p)
		} else {
			doubtful = append(doubtful, p)
		}
	}
	delivered, missing, err := d.lookFor(ctx, doubtful)
	failures = append(failures, err)
	n, err := d.post(ctx, append(fresh, missing...))
	return delivered + n, errors.Join(append(failures, err)...)
}

// lookFor finds out which of the reports that were sent have arrived. It
// returns how many have, and those that have not.
func (d *Delivery) lookFor(ctx context.Context, doubtful []*parcel) (int, []*parcel, error) {
	if len(doubtful) == 0 {
		return 0, nil, nil
	}
	keys := make([]Key, 0, len(doubtful))
	for _, p := range doubtful {
		keys = append(keys, p.key())
	}
	found, err := d.Remote.Find(ctx, keys)
	if err != nil {
		return 0, nil, fmt.Errorf("look for %d reports that were sent before: %w", len(doubtful), err)
	}
	var there, missing []*parcel
	var ids []string
	for _, p := range doubtful {
		id, err := d.own(ctx, p, found[p.key()])
		switch {
		case err != nil:
			return 0, nil, err
		case id != "":
			there, ids = append(there, p), append(ids, id)
		default:
			missing = append(missing, p)
		}
	}
	d.Log.InfoContext(ctx, "looked for reports that were sent before", slog.Int("there", len(there)), slog.Int("missing", len(missing)))
	n, err := d.acknowledge(ctx, there, ids)
	return n, missing, err
}

// own picks, from the messages that fit a report's key, the one that no
// earlier run of the same message, and no earlier part of this report, has
// brought. The last part of each is known by its sys_id; those before it are
// only counted, and count as there: where they were deleted on the instance
// meanwhile, a part may be brought twice, but none is left out.
func (d *Delivery) own(ctx context.Context, p *parcel, found []string) (string, error) {
	known := []string{p.job.Status.Report}
	counted := max(0, p.job.Status.Parts-1)
	for run := p.job.Run - 1; run >= 1 && len(found) > 0; run-- {
		earlier, err := d.Queue.Get(ctx, queue.NewID(p.job.Instance, p.job.SysID, run))
		if err != nil && !errors.Is(err, queue.ErrNotFound) {
			return "", fmt.Errorf("look up the earlier run of %s: %w", p.job.ID, err)
		}
		known = append(known, earlier.Status.Report)
		counted += earlier.Status.Parts
	}
	left := 0
	for _, id := range found { // oldest first
		if slices.Contains(known, id) {
			continue
		}
		if left++; left > counted {
			return id, nil
		}
	}
	return "", nil
}

// post marks the parcels as sent and sends them, in requests of bounded size.
func (d *Delivery) post(ctx context.Context, parcels []*parcel) (int, error) {
	delivered := 0
	for len(parcels) > 0 {
		n, size := 0, int64(0)
		for n < len(parcels) && (n == 0 || size+parcels[n].size <= d.BatchBytes) {
			size += parcels[n].size
			n++
		}
		got, err := d.postOne(ctx, parcels[:n])
		delivered += got
		if err != nil {
			return delivered, err
		}
		parcels = parcels[n:]
	}
	return delivered, nil
}

// postOne sends one request. The intent is durable before the first byte
// leaves, what became of it right after.
func (d *Delivery) postOne(ctx context.Context, parcels []*parcel) (int, error) {
	receipts, err := d.sendOff(ctx, parcels)
	if err != nil {
		return 0, err
	}
	now := d.Now()
	if len(receipts) != len(parcels) {
		return 0, fault.New(fault.Internal, "post reports", d.Instance, fmt.Errorf("%d receipts for %d reports", len(receipts), len(parcels)))
	}
	var there []*parcel
	var ids []string
	var failures []error
	var marks []queue.Mark
	for i, r := range receipts {
		p := parcels[i]
		switch {
		case r.Err == nil:
			there, ids = append(there, p), append(ids, r.SysID)
		case fault.KindOf(r.Err) == fault.Unknown:
			d.doubt(p.job.ID, now)
			failures = append(failures, r.Err)
		default:
			marks = append(marks, queue.Mark{Job: p.job.ID, Unsent: true})
			failures = append(failures, r.Err)
		}
	}
	n, err := d.acknowledge(ctx, there, ids)
	if len(marks) > 0 {
		err = errors.Join(err, d.Queue.Mark(ctx, marks...))
	}
	return n, errors.Join(err, first(failures))
}

// sendOff marks parcels as sent and posts them in their turn. The turn is
// waited for before the mark: from then on the request must end within Longest.
func (d *Delivery) sendOff(ctx context.Context, parcels []*parcel) ([]Receipt, error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := d.Now()
	marks := make([]queue.Mark, 0, len(parcels))
	messages := make([]ecc.Message, 0, len(parcels))
	for _, p := range parcels {
		marks = append(marks, queue.Mark{Job: p.job.ID, Sent: now})
		messages = append(messages, p.message)
	}
	if err := d.Queue.Mark(ctx, marks...); err != nil {
		return nil, fmt.Errorf("note that %d reports leave: %w", len(parcels), err)
	}
	return d.request(ctx, messages), nil
}

// request posts messages within the bound on one request.
func (d *Delivery) request(ctx context.Context, messages []ecc.Message) []Receipt {
	ctx, cancel := context.WithTimeout(ctx, d.Longest)
	defer cancel()
	return d.Remote.Post(ctx, messages)
}

// first returns the first error, with a count of the others.
func first(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%w (and %d more)", errs[0], len(errs)-1)
}

// acknowledge journals that parcels arrived. The last part of a report makes
// its job delivered; another part lets the next one go.
func (d *Delivery) acknowledge(ctx context.Context, parcels []*parcel, ids []string) (int, error) {
	if len(parcels) == 0 {
		return 0, nil
	}
	now := d.Now()
	var marks []queue.Mark
	var moves []queue.Transition
	var done []queue.Job
	for i, p := range parcels {
		if !p.last() {
			marks = append(marks, queue.Mark{Job: p.job.ID, Unsent: true, Parts: p.job.Status.Parts + 1, Report: ids[i]})
			continue
		}
		moves = append(moves, queue.Transition{Job: p.job.ID, From: queue.Finished, To: queue.Delivered, At: now, Report: ids[i]})
		done = append(done, p.job)
	}
	if len(marks) > 0 {
		if err := d.Queue.Mark(ctx, marks...); err != nil {
			return 0, fmt.Errorf("note which parts arrived: %w", err)
		}
	}
	if len(moves) == 0 {
		return 0, nil
	}
	if err := d.Queue.Advance(ctx, moves...); err != nil {
		return 0, fmt.Errorf("note that %d reports arrived: %w", len(moves), err)
	}
	d.mu.Lock()
	for _, j := range done {
		delete(d.later, j.ID)
		delete(d.ended, j.ID)
	}
	d.mu.Unlock()
	for _, j := range done {
		d.Delivered(j)
	}
	return len(done), nil
}
