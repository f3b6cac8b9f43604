package bolt

import (
	"context"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// newJob is an entry on its way into the store.
type newJob struct {
	job  queue.Job
	body prepared
	has  bool // a message was given
	used bool // it was added by the last run of the operation
}

// Put journals jobs in state Received, all or none, durable on return, and
// skips those whose id is known. While the disk is nearly full it refuses with
// queue.ErrFull.
func (s *Store) Put(ctx context.Context, entries []queue.Entry) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	if err := s.room(ctx); err != nil {
		return 0, err
	}
	jobs, size, err := s.newJobs(entries)
	if err != nil {
		return 0, err
	}
	added := 0
	err = s.submit(ctx, &op{name: "put jobs", size: size, grows: true, do: func(t *txn) error {
		added = 0
		for i := range jobs {
			jobs[i].used = false
		}
		for i := range jobs {
			seq, err := findSeq(t.bucket(bktIDs), jobs[i].job.ID)
			if err != nil {
				return err
			}
			if seq != 0 {
				continue
			}
			t.add(&jobs[i])
			added++
		}
		return nil
	}})
	if fault.KindOf(err) == fault.Unknown && err != nil {
		return 0, err // its files may be referred to
	}
	var left []prepared
	for i := range jobs {
		if err != nil || !jobs[i].used {
			left = append(left, jobs[i].body)
		}
	}
	s.discard(left)
	if err != nil {
		return 0, err
	}
	return added, nil
}

func (s *Store) newJobs(entries []queue.Entry) (jobs []newJob, size int, err error) {
	jobs = make([]newJob, 0, len(entries))
	fail := func(err error) ([]newJob, int, error) {
		for i := range jobs {
			s.discard([]prepared{jobs[i].body})
		}
		return nil, 0, err
	}
	for i := range entries {
		e := &entries[i]
		if err := e.Job.Check(); err != nil {
			return fail(err)
		}
		n := newJob{job: e.Job, has: e.Message != nil}
		if n.has {
			if n.body, err = s.prepareBody(e.Job.ID, queue.Message, e.Message); err != nil {
				return fail(err)
			}
		}
		jobs = append(jobs, n)
		size += len(n.body.value) + 1024
	}
	return jobs, size, nil
}

// add stores a job whose id is not known.
func (t *txn) add(n *newJob) {
	j := &n.job
	seq := t.n.NextSeq
	t.n.NextSeq++
	slot := slotOf(j)
	r := record{status: j.Status, gid: t.join(slot), order: orderKey(j, seq)}
	normalize(&r.status)
	r.status.State = queue.Received
	t.put(bktJobs, seqKey(seq), encodeJob(seq, j))
	t.put(bktStatus, seqKey(seq), encodeRecord(seq, &r))
	t.remember(j, seq)
	if n.has {
		t.setBody(seq, queue.Message, n.body)
	}
	t.n.moved(&slot, 0, queue.Received)
	n.used = true
}

func slotOf(j *queue.Job) queue.Slot {
	return queue.Slot{Instance: j.Instance, Pool: j.Pool, Target: j.Target, Lane: j.Lane}
}

func normalize(s *queue.Status) {
	s.Changed, s.Started = queue.Normal(s.Changed), queue.Normal(s.Started)
	s.Until, s.Sent = queue.Normal(s.Until), queue.Normal(s.Sent)
}
