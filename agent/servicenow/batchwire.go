package servicenow

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
)

// batchHead is more than the size of a batch around its items; itemHead more than
// that of an item around path and body.
const (
	batchHead = 128
	itemHead  = 288
)

func itemSize(r *Request) int {
	return itemHead + len(r.path) + base64.StdEncoding.EncodedLen(len(r.body))
}

const itemHeaders = `,"exclude_response_headers":true,"headers":[{"name":"Content-Type","value":"application/json"},` +
	`{"name":"Accept","value":"application/json"}],"method":`

// encodeBatch writes a batch. The id of an item is its place in the chunk.
func encodeBatch(id string, reqs []Request, chunk []int) []byte {
	size := batchHead
	for _, i := range chunk {
		size += itemSize(&reqs[i])
	}
	b := make([]byte, 0, size)
	b = append(b, `{"batch_request_id":`...)
	b = appendString(b, id)
	b = append(b, `,"rest_requests":[`...)
	for n, i := range chunk {
		r := &reqs[i]
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":"`...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, '"')
		b = append(b, itemHeaders...)
		b = appendString(b, r.method)
		b = append(b, `,"url":`...)
		b = appendString(b, r.path)
		if r.body != nil {
			b = append(b, `,"body":`...)
			b = appendBase64(b, r.body)
		}
		b = append(b, '}')
	}
	return append(b, ']', '}')
}

type itemState uint8

const (
	itemMissing itemState = iota
	itemServiced
	itemUnserviced
	itemContradictory
)

// batchItem is what the answer says about one request.
type batchItem struct {
	state  itemState
	status int
	body   []byte
	retry  string // Retry-After
}

func (it *batchItem) header() http.Header {
	h := http.Header{}
	if it.retry != "" {
		h.Set("Retry-After", it.retry)
	}
	return h
}

// parseBatch reads the answer to a batch of n requests. Requests that it does not
// name, or names in contradictory ways, are not serviced and not unserviced. The
// error says what is wrong with the answer as a whole; what was read before
// counts.
func parseBatch(body []byte, id string, n int) ([]batchItem, error) {
	items := make([]batchItem, n)
	var other bool
	var env envelope
	s := newScanner(body)
	err := s.object(func(key string) error {
		switch key {
		case "batch_request_id":
			got, err := s.scalar()
			other = err == nil && got != "" && got != id
			return err
		case "serviced_requests":
			return s.orNull(func() error { return s.array(func() error { return s.serviced(items) }) })
		case "unserviced_requests", "unserviced":
			return s.orNull(func() error { return s.array(func() error { return s.unserviced(items) }) })
		case "error":
			return s.failure(&env)
		default:
			return s.skip()
		}
	})
	switch {
	case other:
		return make([]batchItem, n), errors.New("it is the answer to another batch")
	case err != nil:
		return items, err
	case env.failed:
		return items, errors.New(env.message)
	}
	return items, nil
}

func (s *scanner) orNull(f func() error) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c == 'n' {
		return s.skip()
	}
	return f()
}

func (s *scanner) serviced(items []batchItem) error {
	it := batchItem{state: itemServiced}
	at := -1
	err := s.object(func(key string) error {
		var err error
		switch key {
		case "id":
			at, err = s.place(len(items))
		case "status_code":
			var t string
			if t, err = s.scalar(); err == nil {
				it.status, err = strconv.Atoi(t)
			}
		case "body":
			it.body, err = s.base64Bytes()
		case "headers":
			it.retry, err = s.retryHeader()
		default:
			err = s.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if it.status == 0 {
		it.state = itemMissing // says nothing about what became of it
	}
	put(items, at, it)
	return nil
}

// unserviced reads an id, or an object that holds one: the documentation says
// ids, some clients expect objects.
func (s *scanner) unserviced(items []batchItem) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	at := -1
	if c != '{' {
		at, err = s.place(len(items))
	} else {
		err = s.object(func(key string) error {
			if key != "id" {
				return s.skip()
			}
			var err error
			at, err = s.place(len(items))
			return err
		})
	}
	if err != nil {
		return err
	}
	put(items, at, batchItem{state: itemUnserviced})
	return nil
}

// place reads the id of an item; -1 for one that is not ours.
func (s *scanner) place(n int) (int, error) {
	t, err := s.scalar()
	if err != nil {
		return -1, err
	}
	if at, err := strconv.Atoi(t); err == nil && at >= 0 && at < n && strconv.Itoa(at) == t {
		return at, nil
	}
	return -1, nil
}

// put notes what the answer says about an item. Two that do not agree cancel each
// other out.
func put(items []batchItem, at int, it batchItem) {
	if at < 0 {
		return
	}
	if old := items[at]; old.state != itemMissing && (old.state != it.state || old.status != it.status) {
		items[at] = batchItem{state: itemContradictory}
		return
	}
	items[at] = it
}

// retryHeader reads a list of {"name","value"} and returns Retry-After.
func (s *scanner) retryHeader() (string, error) {
	var retry string
	err := s.orNull(func() error {
		return s.array(func() error {
			h, err := s.record()
			if http.CanonicalHeaderKey(h["name"]) == "Retry-After" {
				retry = h["value"]
			}
			return err
		})
	})
	return retry, err
}
