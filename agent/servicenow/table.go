package servicenow

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const tablePath = "/api/now/table/"

const jsonType = "application/json"

// Page is one page of a list.
type Page struct {
	// Records are the rows that match the query, in the order of the answer.
	Records []Record
	// Rows is how many rows the instance sent, whether they match or not.
	Rows int
	// Foreign is how many of them were left out because they do not match: the
	// instance ignored a term, or compares in another way.
	Foreign int
	// FilterDropped says that at least one row cannot be explained by comparison
	// without letter case or by time zones: a term of the query was ignored.
	FilterDropped bool
	// Total is how many rows match on the instance, before access rules; -1 when
	// the query did not ask, or the instance did not tell.
	Total int
	// Next is the offset of the next page.
	Next int
	// Last says that the page had no rows. A short page is not the last: an
	// instance applies the limit first and access rules afterwards.
	Last bool
}

// List reads one page of a table. Rows that do not match the query are never in
// Page.Records, whatever the instance sends. When the answer is larger than
// Config.MaxAnswer, List asks again for half as many rows, down to one.
//
// Source: "Table API" of the ServiceNow documentation.
func (c *Client) List(ctx context.Context, table string, q Query) (Page, error) {
	for limit := q.limit(); ; limit /= 2 {
		q.Limit = limit
		page, err := c.list(ctx, table, q)
		if err == nil || limit <= 1 || !isTooLarge(err) {
			return page, err
		}
	}
}

func isTooLarge(err error) bool {
	return hasCause(err, ErrTooLarge)
}

func (c *Client) list(ctx context.Context, table string, q Query) (Page, error) {
	path, err := c.listPath(table, q)
	if err != nil {
		return Page{}, err
	}
	k := call{attempt: attempt{op: "list", subject: c.subject(table, "")}, method: http.MethodGet, path: path}
	r, err := c.do(ctx, k)
	if err != nil {
		return emptyList(q, err)
	}
	rows, err := k.records(ctx, r, q.limit())
	if err != nil {
		return Page{}, err
	}
	page := Page{Rows: len(rows), Total: -1, Next: q.Offset + q.limit(), Last: len(rows) == 0}
	if n, err := strconv.Atoi(r.header.Get("X-Total-Count")); err == nil && n >= 0 && q.Count {
		page.Total = n
	}
	page.Records = rows[:0]
	for _, row := range rows {
		if q.Matches(row) {
			page.Records = append(page.Records, row)
			continue
		}
		if !q.plausible(row) {
			page.Foreign++
			page.FilterDropped = true
		} else if !q.onlyTime(row) {
			page.Foreign++
		}
	}
	if page.FilterDropped {
		c.conf.Log.Warn("instance ignored a part of a query", "instance", c.Host(), "table", table, "rows_left_out", page.Foreign)
	}
	return page, nil
}

// emptyList turns the 404 by which version 1 of the Table API answers a query
// without rows into a page without rows.
func emptyList(q Query, err error) (Page, error) {
	if hasCause(err, ErrNotFound) {
		return Page{Total: -1, Next: q.Offset + q.limit(), Last: true}, nil
	}
	return Page{}, err
}

func (c *Client) listPath(table string, q Query) (string, error) {
	if err := checkTable(table); err != nil {
		return "", err
	}
	encoded, err := q.Encode(c.zone.Load())
	if err != nil {
		return "", err
	}
	fields, err := q.fieldList()
	if err != nil {
		return "", err
	}
	if q.Offset < 0 {
		return "", badQuery("offset", strconv.Itoa(q.Offset), "is negative")
	}
	v := url.Values{
		"sysparm_query":                      {encoded},
		"sysparm_limit":                      {strconv.Itoa(q.limit())},
		"sysparm_offset":                     {strconv.Itoa(q.Offset)},
		"sysparm_exclude_reference_link":     {"true"},
		"sysparm_display_value":              {"false"},
		"sysparm_suppress_pagination_header": {"true"},
		"sysparm_no_count":                   {strconv.FormatBool(!q.Count)},
	}
	if fields != "" {
		v.Set("sysparm_fields", fields)
	}
	path := tablePath + table + "?" + v.Encode()
	if len(path) > maxURL {
		return "", badQuery("query of", table, "is longer than an address may be; ask in several parts")
	}
	return path, nil
}

// maxURL bounds addresses; many proxies and gateways stop at 8 KB.
const maxURL = 7 << 10

func (c *Client) subject(table, sysID string) string {
	s := table
	if sysID != "" {
		s += " " + sysID
	}
	return s + " on " + c.Host()
}

// Get reads one record; with fields only those (and sys_id). A record that does
// not exist, or is hidden, gives ErrNotFound in an error of kind fault.Conflict.
func (c *Client) Get(ctx context.Context, table, sysID string, fields ...string) (Record, error) {
	path, err := recordPath(table, sysID, fields)
	if err != nil {
		return nil, err
	}
	k := call{attempt: attempt{op: "get", subject: c.subject(table, sysID)}, method: http.MethodGet, path: path}
	r, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	rec, err := c.one(ctx, k.attempt, r)
	if err == nil && rec["sys_id"] != "" && rec["sys_id"] != sysID {
		return nil, k.fail(fault.Conflict, &AnswerError{Status: r.status, Message: "another record came", Cause: ErrNotFound},
			"check that nothing between here and the instance caches answers")
	}
	return rec, err
}

// Insert creates a record and returns it with the fields asked for; without
// fields, with its sys_id alone. Errors of kind fault.Unknown leave it open
// whether the record was created; see the package's documentation.
func (c *Client) Insert(ctx context.Context, table string, rec Record, fields ...string) (Record, error) {
	req := InsertRequest(table, rec, fields...)
	return c.Do(ctx, req)
}

// Update changes the given fields of a record and leaves all others.
func (c *Client) Update(ctx context.Context, table, sysID string, rec Record, fields ...string) (Record, error) {
	return c.Do(ctx, UpdateRequest(table, sysID, rec, fields...))
}

// Delete removes a record. One that is not there gives ErrNotFound.
func (c *Client) Delete(ctx context.Context, table, sysID string) error {
	_, err := c.Do(ctx, DeleteRequest(table, sysID))
	return err
}

// one reads an answer with exactly one row.
func (c *Client) one(ctx context.Context, a attempt, r reply) (Record, error) {
	rows, err := a.records(ctx, r, 1)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, a.fail(a.open(), &AnswerError{Status: r.status, Message: "no record in the answer", Cause: ErrNotJSON},
			"check that url is the instance, and that no proxy or portal answers in its place")
	}
	return rows[0], nil
}

// recordPath returns the path of a record, or of a table where sysID is "".
func recordPath(table, sysID string, fields []string) (string, error) {
	if err := checkTable(table); err != nil {
		return "", err
	}
	path := tablePath + table
	if sysID != "" {
		if err := checkSysID(sysID); err != nil {
			return "", err
		}
		path += "/" + sysID
	}
	list, err := Query{Fields: fields}.fieldList()
	if err != nil {
		return "", err
	}
	path += "?sysparm_exclude_reference_link=true"
	if list != "" {
		path += "&sysparm_fields=" + url.QueryEscape(list)
	}
	return path, nil
}
