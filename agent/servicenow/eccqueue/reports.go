package eccqueue

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

// Post implements delivery.Instance.
func (q *Queue) Post(ctx context.Context, messages []ecc.Message) []delivery.Receipt {
	requests := make([]servicenow.Request, 0, len(messages))
	for _, m := range messages {
		requests = append(requests, servicenow.InsertRequest(table, m.Fields()))
	}
	receipts := make([]delivery.Receipt, len(messages))
	responses, err := q.Client.Batch(ctx, requests)
	for i := range receipts {
		switch {
		case i < len(responses):
			receipts[i] = delivery.Receipt{SysID: responses[i].Record["sys_id"], Err: responses[i].Err}
		default:
			receipts[i].Err = err
		}
	}
	return receipts
}

// Find implements delivery.Instance.
func (q *Queue) Find(ctx context.Context, keys []delivery.Key) (map[delivery.Key][]string, error) {
	outputs := make([]string, 0, len(keys))
	wanted := map[string][]delivery.Key{}
	for _, k := range keys {
		if len(wanted[k.ResponseTo]) == 0 {
			outputs = append(outputs, k.ResponseTo)
		}
		wanted[k.ResponseTo] = append(wanted[k.ResponseTo], k)
	}
	found := map[delivery.Key][]string{}
	var mu sync.Mutex
	err := inChunks(ctx, outputs, lookAtOnce, func(ctx context.Context, chunk []string) error {
		rows := q.Client.All(ctx, table, servicenow.Query{
			Where:  []servicenow.Condition{servicenow.In("response_to", chunk...), servicenow.Eq("queue", ecc.QueueInput)},
			Order:  []servicenow.Order{servicenow.Ascending("sys_created_on")},
			Fields: []string{"sys_id", "response_to", "topic", "name", "agent", "sys_created_on"},
		})
		for r, err := range rows {
			if err != nil {
				return err
			}
			mu.Lock()
			for _, k := range wanted[r["response_to"]] {
				if r["topic"] == k.Topic && r["agent"] == k.Agent && sameName(r["name"], k.Name) {
					found[k] = append(found[k], r["sys_id"])
				}
			}
			mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// sameName compares a stored name with the one that was sent. An instance cuts
// what is longer than its column; the documented length is above this one.
func sameName(stored, sent string) bool {
	const shortest = 40
	return stored == sent || len(stored) >= shortest && strings.HasPrefix(sent, stored)
}

// Attach implements delivery.Instance.
func (q *Queue) Attach(ctx context.Context, sysID, fileName string, size int64, body func() (io.ReadCloser, error)) (string, error) {
	there, err := q.Client.Attachments(ctx, table, sysID, fileName)
	if err != nil {
		return "", fmt.Errorf("look for the attachment %s: %w", fileName, err)
	}
	for _, a := range there {
		if a.Size == size {
			return a.SysID, nil
		}
	}
	a, err := q.Client.Attach(ctx, servicenow.Upload{
		Table: table, TableSysID: sysID, FileName: fileName, ContentType: "application/xml", Size: size, Open: body,
	})
	return a.SysID, err
}
