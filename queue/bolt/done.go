package bolt

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// forgetStep is how many jobs one transaction forgets.
const forgetStep = 1000

// doneRecord is the value of a final job: its status and its immutable part,
// each with its checksum.
type doneRecord struct{ status, job []byte }

func encodeDone(seq uint64, r *record, job []byte) []byte {
	r.order, r.place = nil, nowhere
	e := encoder{}
	e.bytes(encodeRecord(seq, r))
	e.b = append(e.b, job...)
	return e.b
}

func (d *doneRecord) split(b []byte) error {
	dec := decoder{b: b}
	d.status = dec.bytes()
	d.job = dec.b
	return dec.err
}

// decodeDone reads a final job; job may be nil.
func decodeDone(seq uint64, b []byte, r *record, job *queue.Job) error {
	var d doneRecord
	if err := d.split(b); err != nil {
		return err
	}
	if err := decodeRecord(seq, d.status, r); err != nil || job == nil {
		return err
	}
	return decodeJob(seq, d.job, job)
}

// Forget drops what became final before the given day (UTC), in transactions
// of bounded size. It returns how many jobs were dropped, also where it ends
// with an error.
func (s *Store) Forget(ctx context.Context, before time.Time) (int, error) {
	limit := before.UTC().Format(dayFormat)
	dropped := 0
	for {
		n, more := 0, false
		err := s.submit(ctx, &op{name: "forget jobs", size: forgetStep * 64, do: func(t *txn) error {
			n, more = t.forget(limit)
			return nil
		}})
		if err != nil {
			return dropped, err
		}
		dropped += n
		if !more {
			return dropped, nil
		}
		if err := context.Cause(ctx); err != nil {
			return dropped, fault.New(fault.Canceled, "forget jobs", "", err)
		}
	}
}

// forget drops up to forgetStep jobs of the oldest day before the limit.
func (t *txn) forget(limit string) (n int, more bool) {
	days := t.bucket(bktDelivered)
	day, _ := days.Cursor().First()
	if day == nil || string(day) >= limit {
		return 0, false
	}
	day = slices.Clone(day)
	var seqs [][]byte
	c := days.Bucket(day).Cursor()
	for k, _ := c.First(); k != nil && len(seqs) < forgetStep; k, _ = c.Next() {
		seqs = append(seqs, slices.Clone(k))
	}
	for _, key := range seqs {
		t.drop(seqOf(key))
		must(days.Bucket(day).Delete(key))
	}
	if len(seqs) < forgetStep {
		must(days.DeleteBucket(day))
	}
	return len(seqs), true
}

// drop forgets one final job. Its bodies, where they are kept, go with it; the
// entry among the kept goes when its turn comes.
func (t *txn) drop(seq uint64) {
	var r record
	var j queue.Job
	if decodeDone(seq, t.bucket(bktDone).Get(seqKey(seq)), &r, &j) == nil {
		t.forgetID(&j)
	}
	t.dropBody(seq, queue.Message)
	t.dropBody(seq, queue.Outcome)
	t.del(bktDone, seqKey(seq))
}
