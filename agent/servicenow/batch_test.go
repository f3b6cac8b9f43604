package servicenow_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/fault"
	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

func inserts(n int, payload string) []sn.Request {
	reqs := make([]sn.Request, n)
	for i := range reqs {
		reqs[i] = sn.InsertRequest("ecc_queue", sn.Record{"name": fmt.Sprint(i), "payload": payload})
	}
	return reqs
}

func kinds(out []sn.Response) []string {
	var list []string
	for _, r := range out {
		if r.Err == nil {
			list = append(list, "ok "+r.Record["sys_id"])
		} else {
			list = append(list, fault.KindOf(r.Err).String())
		}
	}
	return list
}

func TestBatchOnTheWire(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/now/v1/batch" || r.Method != http.MethodPost {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		b := readBatch(t, r)
		var list []any
		for _, it := range b.Items {
			body, err := base64.StdEncoding.DecodeString(it.Body)
			if err != nil {
				t.Error(err)
			}
			if it.Method == http.MethodPost && string(body) != `{"name":"1","payload":"a\"\nü"}` {
				t.Errorf("body %s", body)
			}
			status, text := 200, `{"result":{"sys_id":"x`+it.ID+`"}}`
			switch it.Method {
			case http.MethodPost:
				status = 201
			case http.MethodDelete:
				status, text = 204, ""
			}
			list = append(list, serviced(it.ID, status, text))
		}
		answer(w, 200, jsonText(map[string]any{"batch_request_id": b.ID, "serviced_requests": list, "unserviced_requests": []any{}}))
	})
	out, err := c.Batch(t.Context(), []sn.Request{
		sn.InsertRequest("ecc_queue", sn.Record{"name": "1", "payload": "a\"\nü"}), sn.UpdateRequest("ecc_queue", "abc", sn.Record{"state": "x"}),
		sn.DeleteRequest("ecc_queue", "abc"), sn.InsertRequest("bad table", nil), sn.GetRequest("ecc_queue", "x4"),
	})
	if d := cmp.Diff([]string{"ok x0", "ok x1", "ok ", "invalid", "ok x3"}, kinds(out)); d != "" || err != nil {
		t.Error(d, err)
	}
}

// TestBatchItems is every way in which an answer can tell about an item.
func TestBatchItems(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b := readBatch(t, r)
		rate := serviced("4", 429, failure("Rate limit exceeded", ""))
		rate["headers"] = []any{map[string]string{"name": "retry-after", "value": "7"}}
		answer(w, 200, jsonText(map[string]any{
			"batch_request_id": b.ID,
			"serviced_requests": []any{
				serviced("0", 201, `{"result":{"sys_id":"a"}}`), serviced("1", 403, failure("Operation Failed", "ACL")),
				serviced("2", 500, failure("x", "")), serviced("3", 202, ""), rate,
				serviced("5", 201, `{"result":{"sys_id":"b"}}`), serviced("5", 403, ""), // twice, and not the same
				serviced("6", 201, `{"result":{}}`), serviced("99", 201, "{}"), serviced("x", 201, "{}"),
				serviced("7", 200, failure("maximum execution time exceeded", "")),
			},
			"unserviced_requests": []any{"9", map[string]string{"id": "10"}, 11, "77"},
		}))
	})
	reqs := append(inserts(11, "p"), sn.GetRequest("ecc_queue", "abc"))
	out, err := c.Batch(t.Context(), reqs)
	want := []string{
		"ok a", "denied", "unknown", "unknown", "unavailable", "unknown", "unknown", "unknown",
		"unknown", // 8: not named at all
		"unknown", // 9: the first that was not serviced may have been interrupted
		"unavailable", "unavailable",
	}
	if d := cmp.Diff(want, kinds(out)); d != "" || err != nil {
		t.Error(d, err)
	}
	if !errors.Is(out[10].Err, sn.ErrUnserviced) || !errors.Is(out[8].Err, sn.ErrBatchAnswer) {
		t.Errorf("causes: %v, %v", out[10].Err, out[8].Err)
	}
	if fault.RetryAfterOf(out[4].Err).Seconds() != 7 {
		t.Errorf("Retry-After of an item: %v", fault.RetryAfterOf(out[4].Err))
	}
}

func TestFailedBatchIsUnknownForItsWrites(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"cut":       func(w http.ResponseWriter, _ *http.Request) { cut(w) },
		"503":       func(w http.ResponseWriter, _ *http.Request) { answer(w, 503, "") },
		"202":       func(w http.ResponseWriter, _ *http.Request) { answer(w, 202, "") },
		"truncated": func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"serviced_requests":[{"id":"0"`) },
		"error in 200": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, failure("Transaction cancelled: maximum execution time exceeded", ""))
		},
		"another batch": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, jsonText(map[string]any{"batch_request_id": "other", "serviced_requests": []any{serviced("0", 201, `{"result":{"sys_id":"a"}}`)}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _ := serve(t, h).Batch(t.Context(), append(inserts(2, "p"), sn.GetRequest("ecc_queue", "abc")))
			if d := cmp.Diff([]string{"unknown", "unknown", "unavailable"}, kinds(out)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatWasNotSentAfterAFailureIsSurelyNotDone(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { n.Add(1); cut(w) })
	out, err := c.Batch(t.Context(), inserts(250, "p"))
	if n.Load() != 1 || err == nil || fault.KindOf(out[0].Err) != fault.Unknown || fault.KindOf(out[249].Err) != fault.Unavailable {
		t.Errorf("%d batches, %v: first %v, last %v", n.Load(), err, out[0].Err, out[249].Err)
	}
}

// echo services every item and keeps the size of each batch.
func echo(t *testing.T, sizes *[]int, bytes *[]int64) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		*bytes = append(*bytes, r.ContentLength)
		if !strings.HasSuffix(r.URL.Path, "/batch") {
			*sizes = append(*sizes, 1)
			answer(w, 201, `{"result":{"sys_id":"single"}}`)
			return
		}
		b := readBatch(t, r)
		*sizes = append(*sizes, len(b.Items))
		var list []any
		for _, it := range b.Items {
			list = append(list, serviced(it.ID, 201, `{"result":{"sys_id":"a"}}`))
		}
		answer(w, 200, jsonText(map[string]any{"batch_request_id": b.ID, "serviced_requests": list}))
	}
}

func TestBatchStaysBelowThreeMegabytes(t *testing.T) {
	t.Parallel()
	var sizes []int
	var bytes []int64
	c := serve(t, echo(t, &sizes, &bytes))
	reqs := append(inserts(4, strings.Repeat("x", 900_000)), inserts(2, strings.Repeat("y", 3_000_000))...)
	out, err := c.Batch(t.Context(), append(reqs, inserts(3, "z")...))
	for i, r := range out {
		if r.Err != nil {
			t.Errorf("%d: %v", i, r.Err)
		}
	}
	if d := cmp.Diff([]int{2, 2, 1, 1, 3}, sizes); d != "" || err != nil {
		t.Error(d, err)
	}
	for i, n := range bytes {
		if sizes[i] > 1 && n > sn.MaxBatchBytes {
			t.Errorf("a batch of %d bytes", n)
		}
	}
}

func TestRefusedBatchesBecomeSingleRequests(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404, 405} {
		var batches, singles atomic.Int64
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/batch") {
				batches.Add(1)
				answer(w, status, failure("no", ""))
				return
			}
			singles.Add(1)
			answer(w, 201, `{"result":{"sys_id":"a"}}`)
		})
		for range 2 {
			out, err := c.Batch(t.Context(), inserts(10, "p"))
			if d := cmp.Diff(strings.Split(strings.Repeat("ok a,", 9)+"ok a", ","), kinds(out)); d != "" || err != nil {
				t.Error(d, err)
			}
		}
		if batches.Load() != 1 || singles.Load() != 20 {
			t.Errorf("%d: %d batches, %d single requests", status, batches.Load(), singles.Load())
		}
	}
}

func TestBatchShrinksWhenTheInstanceDoesNotGetThrough(t *testing.T) {
	t.Parallel()
	var sizes []int
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b := readBatch(t, r)
		sizes = append(sizes, len(b.Items))
		var list, rest []any
		for i, it := range b.Items {
			if i < 20 {
				list = append(list, serviced(it.ID, 201, `{"result":{"sys_id":"a"}}`))
			} else {
				rest = append(rest, it.ID)
			}
		}
		answer(w, 200, jsonText(map[string]any{"batch_request_id": b.ID, "serviced_requests": list, "unserviced_requests": rest}))
	})
	if _, err := c.Batch(t.Context(), inserts(200, "p")); err != nil {
		t.Error(err)
	}
	if sizes[0] != 100 || sizes[1] != 50 || sizes[2] != 25 || sizes[3] != 12 || sizes[4] != 13 {
		t.Errorf("sizes %v", sizes)
	}
}

func TestTooLargeBatchIsSentInParts(t *testing.T) {
	t.Parallel()
	var sizes []int
	var bytes []int64
	ok := echo(t, &sizes, &bytes)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 10_000 {
			_, _ = io.Copy(io.Discard, r.Body)
			answer(w, 413, "")
			return
		}
		ok(w, r)
	})
	out, err := c.Batch(t.Context(), inserts(64, "p"))
	for i, r := range out {
		if r.Err != nil {
			t.Fatalf("%d: %v", i, r.Err)
		}
	}
	if err != nil || sizes[0] >= 64 {
		t.Errorf("%v, %v", sizes, err)
	}
}
