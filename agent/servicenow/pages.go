package servicenow

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// All reads all rows that match a query, page by page; q.Limit is the page size.
// It ends at the first error, which it yields.
//
// Without q.Order it goes by sys_id and asks for what lies above the last one, so
// that rows which come and go meanwhile neither repeat nor hide others; q.Offset
// is not used. With q.Order it goes by offset, with sys_id as the last key: rows
// that are inserted or deleted meanwhile can shift others past a page's edge.
func (c *Client) All(ctx context.Context, table string, q Query) iter.Seq2[Record, error] {
	if len(q.Order) > 0 {
		return c.byOffset(ctx, table, q)
	}
	return c.byKey(ctx, table, q)
}

func (c *Client) byKey(ctx context.Context, table string, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		last, q := "", q
		where := q.Where
		q.Offset = 0
		for {
			q.Where = where
			if last != "" {
				q.Where = append(slices.Clone(where), Greater("sys_id", Text(last)))
			}
			page, err := c.List(ctx, table, q)
			if err == nil && page.FilterDropped && len(page.Records) == 0 {
				err = c.dropped(table, page)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if page.Rows == 0 {
				more, err := c.hidden(ctx, table, &q)
				if err != nil {
					yield(nil, err)
				}
				if !more {
					return
				}
				continue
			}
			q.Offset = 0
			before := last
			for _, r := range page.Records {
				if id := r["sys_id"]; id > last {
					last = id
					if !yield(r, nil) {
						return
					}
				}
			}
			if last == before {
				q.Offset = page.Next // only rows that were left out; go past them
			}
		}
	}
}

// hidden looks after a page without rows whether access rules hid all of them
// while more follow, and moves the offset past them. An instance counts before
// access rules.
func (c *Client) hidden(ctx context.Context, table string, q *Query) (bool, error) {
	counting := *q
	counting.Count, counting.Limit = true, 1
	page, err := c.list(ctx, table, counting)
	if err != nil {
		return false, err
	}
	next := q.Offset + q.limit()
	if page.Total <= next {
		return false, nil
	}
	q.Offset = next
	return true, nil
}

func (c *Client) byOffset(ctx context.Context, table string, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		q := q
		seen := map[string]bool{}
		for {
			page, err := c.List(ctx, table, q)
			if err == nil && page.FilterDropped && len(page.Records) == 0 {
				err = c.dropped(table, page)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if page.Rows == 0 {
				more, err := c.hidden(ctx, table, &q)
				if err != nil {
					yield(nil, err)
				}
				if !more {
					return
				}
				continue
			}
			now := make(map[string]bool, len(page.Records))
			for _, r := range page.Records {
				id := r["sys_id"]
				now[id] = true
				if !seen[id] && !yield(r, nil) {
					return
				}
			}
			seen, q.Offset = now, page.Next
		}
	}
}

// dropped is the error for an instance that ignores the query: reading on would
// read the whole table.
func (c *Client) dropped(table string, p Page) error {
	return fault.New(fault.Invalid, "list", c.subject(table, ""),
		fmt.Errorf("%w: none of %d rows matches", ErrFilterDropped, p.Rows)).
		WithHint("check that the user may read the fields of the query, and set glide.invalid_query.returns_no_rows to true")
}
