package servicenow

import (
	"context"
	"net/http"
)

// Request is one operation on a record, to be sent alone (Client.Do) or with
// others in a batch (Client.Batch). It is made by the functions of this file.
type Request struct {
	method string
	path   string
	body   []byte
	op     string
	table  string
	sysID  string
	err    error // what makes it impossible to send
}

// InsertRequest creates a record. Without fields its answer holds the sys_id
// alone.
func InsertRequest(table string, rec Record, fields ...string) Request {
	return newRequest(http.MethodPost, "insert into", table, "", rec, fields)
}

// UpdateRequest changes the given fields of a record.
func UpdateRequest(table, sysID string, rec Record, fields ...string) Request {
	return newRequest(http.MethodPatch, "update", table, sysID, rec, fields)
}

// DeleteRequest removes a record.
func DeleteRequest(table, sysID string) Request {
	r := newRequest(http.MethodDelete, "delete", table, sysID, nil, nil)
	return r
}

// GetRequest reads a record; without fields, all of it.
func GetRequest(table, sysID string, fields ...string) Request {
	r := Request{method: http.MethodGet, op: "get", table: table, sysID: sysID}
	if r.err = checkSysID(sysID); r.err == nil {
		r.path, r.err = recordPath(table, sysID, fields)
	}
	return r
}

func newRequest(method, op, table, sysID string, rec Record, fields []string) Request {
	r := Request{method: method, op: op, table: table, sysID: sysID}
	if method != http.MethodPost {
		if r.err = checkSysID(sysID); r.err != nil {
			return r
		}
	}
	if len(fields) == 0 {
		fields = []string{"sys_id"}
	}
	if r.path, r.err = recordPath(table, sysID, fields); r.err != nil {
		return r
	}
	if rec == nil {
		return r
	}
	size := 2
	for k, v := range rec {
		if r.err = checkField(k); r.err != nil {
			return r
		}
		size += len(k) + len(v) + len(v)/16 + 8
	}
	r.body = rec.appendJSON(make([]byte, 0, size))
	return r
}

func (r *Request) write() bool { return r.method != http.MethodGet }

func (r *Request) attempt(c *Client) attempt {
	return attempt{op: r.op, subject: c.subject(r.table, r.sysID), write: r.write()}
}

// Do sends one request and returns the record of the answer; a delete has none.
func (c *Client) Do(ctx context.Context, r Request) (Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	k := call{attempt: r.attempt(c), method: r.method, path: r.path, body: r.body}
	if r.body != nil {
		k.kind = jsonType
	}
	answer, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	return c.result(ctx, k.attempt, &r, answer)
}

// result reads the record of a successful answer to a request. The sys_id of an
// insert must be in it: without one nobody could tell later what became of it.
func (c *Client) result(ctx context.Context, a attempt, r *Request, answer reply) (Record, error) {
	if r.method == http.MethodDelete {
		if answer.status == http.StatusNoContent || len(answer.body) == 0 {
			return nil, nil //nolint:nilnil // a delete has no record
		}
		_, err := a.records(ctx, answer, 1)
		return nil, err
	}
	rec, err := c.one(ctx, a, answer)
	if err != nil {
		return nil, err
	}
	if r.method == http.MethodPost && rec["sys_id"] == "" {
		return nil, a.fail(a.open(), &AnswerError{Status: answer.status, Message: "no sys_id in the answer", Cause: ErrNotJSON},
			"check that the user may read the table that it writes to")
	}
	return rec, nil
}
