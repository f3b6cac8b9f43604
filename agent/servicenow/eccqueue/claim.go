package eccqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

// Claim implements intake.Instance. Which way it takes follows from the
// configuration, and with ClaimAuto from experience: outputs that were claimed
// by insert twice and still come as ready are updated.
func (q *Queue) Claim(ctx context.Context, sysIDs []string) error {
	if !q.byUpdate(sysIDs) {
		err := q.tell(ctx, sysIDs, ecc.StateProcessing)
		if err == nil {
			q.inserted(sysIDs)
			return nil
		}
		if q.Config.Claim != ClaimAuto || fault.KindOf(err) != fault.Denied {
			return fmt.Errorf("claim %d outputs: %w", len(sysIDs), err)
		}
	}
	return q.update(ctx, sysIDs)
}

// byUpdate reports whether these outputs are to be claimed by update.
func (q *Queue) byUpdate(sysIDs []string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Config.Claim == ClaimAuto && !q.updates {
		stubborn := 0
		for _, id := range sysIDs {
			if q.inserts[id] >= 2 {
				stubborn++
			}
		}
		q.updates = stubborn > 0 && stubborn*2 >= len(sysIDs)
	}
	return q.updates
}

// mostInserts bounds the memory of claims: above what is unstarted at a time.
const mostInserts = 2000

// inserted remembers claims, for a while.
func (q *Queue) inserted(sysIDs []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.inserts) > mostInserts {
		q.inserts = map[string]int{} // emptied, it would keep its memory
	}
	for _, id := range sysIDs {
		q.inserts[id]++
	}
}

// tell inserts one queue.processing input that names the outputs.
func (q *Queue) tell(ctx context.Context, sysIDs []string, state string) error {
	_, err := q.Client.Insert(ctx, table, servicenow.Record{
		"agent": q.Agent, "topic": ecc.TopicProcessing, "queue": ecc.QueueInput, "state": ecc.StateReady,
		"source": q.Marker, "payload": ecc.ProcessingClaim(sysIDs, state),
	})
	return err
}

// update sets the outputs' own state.
func (q *Queue) update(ctx context.Context, sysIDs []string) error {
	requests := make([]servicenow.Request, 0, len(sysIDs))
	for _, id := range sysIDs {
		requests = append(requests, servicenow.UpdateRequest(table, id, servicenow.Record{"state": ecc.StateProcessing}))
	}
	responses, err := q.Client.Batch(ctx, requests)
	if err != nil {
		return fmt.Errorf("claim %d outputs by update: %w", len(sysIDs), err)
	}
	var errs []error
	for i, r := range responses {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("claim %s by update: %w", sysIDs[i], r.Err))
		}
	}
	return errors.Join(errs...)
}

// Settle implements intake.Instance. The topic queue.processing reports
// processed too (KB0727132).
func (q *Queue) Settle(ctx context.Context, sysIDs []string) error {
	return q.tell(ctx, sysIDs, ecc.StateProcessed)
}

// mostPayload bounds the payload of an output: the largest that a reader of the
// ECC queue is used to, with room for characters of several bytes.
const mostPayload = 2 * ecc.MaxPayload

// Payload implements intake.Instance: the attachment that stands for a payload
// is named payload.txt, or payload (KB0690210).
func (q *Queue) Payload(ctx context.Context, sysID string) (string, error) {
	list, err := q.Client.Attachments(ctx, table, sysID, "")
	if err != nil {
		return "", err
	}
	for _, a := range slices.Backward(list) {
		if name := a.FileName; name != "payload.txt" && name != "payload" {
			continue
		}
		var text limited
		n, err := q.Client.Download(ctx, a.SysID, &text, mostPayload)
		if err != nil {
			return "", err
		}
		// An answer that went wrong halfway is not always without its header.
		if a.Size >= 0 && n != a.Size {
			return "", fault.New(fault.Unavailable, "read the payload attachment of", sysID, fmt.Errorf("%d bytes came of %d", n, a.Size)).
				WithHint("it is read again at the next poll")
		}
		return string(text), nil
	}
	return "", fault.New(fault.Unavailable, "read the payload attachment of", sysID, errors.New("there is none yet")).
		WithHint("check that the agent's user may read attachments of ecc_queue")
}

// limited collects what Download has bounded.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	*l = append(*l, p...)
	return len(p), nil
}

var _ io.Writer = (*limited)(nil)

// Twin is a claim by this agent's name that this installation did not make.
type Twin struct {
	Marker string // how it names itself; "" for a MID Server
	At     time.Time
	SysIDs []string // outputs that it claimed, as far as they can be read
}

// Twins returns the claims of others under this agent's name since a time.
func (q *Queue) Twins(ctx context.Context, since time.Time) ([]Twin, error) {
	p, err := q.Client.List(ctx, table, servicenow.Query{
		Where: []servicenow.Condition{
			servicenow.Eq("agent", q.Agent), servicenow.Eq("queue", ecc.QueueInput), servicenow.Eq("topic", ecc.TopicProcessing),
			servicenow.GreaterEq("sys_created_on", servicenow.Time(since)), servicenow.NotEq("source", q.Marker),
		},
		Order:  []servicenow.Order{servicenow.Descending("sys_created_on")},
		Fields: []string{"sys_id", "source", "payload", "sys_created_on"}, Limit: 10,
	})
	if err != nil {
		return nil, err
	}
	var twins []Twin
	for _, r := range p.Records {
		t := Twin{Marker: r["source"]}
		if t.At, err = servicenow.ParseTime(r["sys_created_on"]); err != nil {
			continue
		}
		// Whoever writes under this name is a twin, also where its claim reads
		// otherwise than ours.
		if claims, err := ecc.ParseProcessingClaim(r["payload"]); err == nil {
			for _, c := range claims {
				t.SysIDs = append(t.SysIDs, c.SysID)
			}
		}
		twins = append(twins, t)
	}
	return twins, nil
}
