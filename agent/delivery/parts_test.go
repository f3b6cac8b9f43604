package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/bolt"
)

// remote is an instance that keeps what is posted, and whose answers a test
// chooses.
type remote struct {
	*testing.T
	kept []ecc.Message
	ids  []string
	// answer tells, by the payload, whether a message is inserted and what the
	// receipt says.
	answer func(payload string) (inserted bool, err error)
	flight int // the most parts of one report in one request
}

func (r *remote) Post(_ context.Context, messages []ecc.Message) []delivery.Receipt {
	var receipts []delivery.Receipt
	outputs := map[string]int{}
	for _, m := range messages {
		outputs[m.ResponseTo]++
		r.flight = max(r.flight, outputs[m.ResponseTo])
		inserted, err := true, error(nil)
		if r.answer != nil {
			inserted, err = r.answer(m.Payload)
		}
		id := fmt.Sprintf("%032x", len(r.ids)+1)
		if inserted {
			r.kept, r.ids = append(r.kept, m), append(r.ids, id)
		}
		if err != nil {
			id = ""
		}
		receipts = append(receipts, delivery.Receipt{SysID: id, Err: err})
	}
	return receipts
}

func (r *remote) Find(_ context.Context, keys []delivery.Key) (map[delivery.Key][]string, error) {
	found := map[delivery.Key][]string{}
	for _, k := range keys {
		for i, m := range r.kept {
			if m.ResponseTo == k.ResponseTo && m.Topic == k.Topic && m.Name == k.Name && m.Agent == k.Agent {
				found[k] = append(found[k], r.ids[i])
			}
		}
	}
	return found, nil
}

func (r *remote) Attach(context.Context, string, string, int64, func() (io.ReadCloser, error)) (string, error) {
	return "", errors.New("nothing here is that large")
}

func (r *remote) payloads() (list []string) {
	for _, m := range r.kept {
		list = append(list, m.Payload)
	}
	return list
}

// clock is a clock that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func store(t *testing.T) queue.Queue {
	t.Helper()
	q, err := bolt.Open(t.Context(), bolt.Options{Dir: filepath.Join(t.TempDir(), "q"), Key: make([]byte, bolt.KeyBytes), FreeReserve: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// finished puts a job whose report has these parts.
func finished(t *testing.T, q queue.Queue, at time.Time, sysID string, run int, parts ...string) queue.ID {
	t.Helper()
	var body bytes.Buffer
	w := report.NewWriter(&body)
	for _, p := range parts {
		if err := errors.Join(w.Part(report.Header{Agent: "mid.server.a", Topic: "T", Name: "n"}), write(w, p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	id := queue.NewID("prod", sysID, run)
	_, err := q.Put(t.Context(), []queue.Entry{{Job: queue.Job{
		ID: id, Instance: "prod", SysID: sysID, Run: run, Agent: "mid.server.a", Topic: "T", Name: "n", Received: at,
		Status: queue.Status{State: queue.Received, Changed: at},
	}, Message: []byte("m")}})
	if err != nil {
		t.Fatal(err)
	}
	err = q.Advance(t.Context(),
		queue.Transition{Job: id, From: queue.Received, To: queue.Claimed, At: at},
		queue.Transition{Job: id, From: queue.Claimed, To: queue.Started, At: at},
		queue.Transition{Job: id, From: queue.Started, To: queue.Finished, At: at, Result: queue.Succeeded, Outcome: body.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func write(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

func deliver(q queue.Queue, r *remote, c *clock) *delivery.Delivery {
	return delivery.New(delivery.Config{
		Instance: "prod", Remote: r, Queue: q, Log: slog.New(slog.DiscardHandler), Now: c.Now,
		Settle: time.Minute, Longest: time.Minute,
	})
}

// steps lets a Delivery work for a while of the test's clock.
func steps(t *testing.T, d *delivery.Delivery, c *clock, n int) {
	t.Helper()
	for range n {
		_, _ = d.Step(t.Context()) // what fails shows in what is missing
		c.now = c.now.Add(10 * time.Second)
	}
}

// TestPartsOfAReport: the parts arrive in order, each once, one at a time,
// whatever becomes of a request for any of them, and also when the process ends
// right after it.
func TestPartsOfAReport(t *testing.T) {
	t.Parallel()
	unknown := fault.New(fault.Unknown, "post", "", errors.New("cut"))
	surely := fault.New(fault.Unavailable, "post", "", errors.New("refused"))
	for name, c := range map[string]struct {
		inserted bool
		err      error
	}{"fine": {true, nil}, "arrived, answer cut": {true, unknown}, "lost, answer cut": {false, unknown}, "refused": {false, surely}} {
		for bad := 1; bad <= 3; bad++ {
			for _, crash := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/part %d/crash %v", name, bad, crash), func(t *testing.T) {
					t.Parallel()
					cl := &clock{time.Now()}
					q, r := store(t), &remote{T: t}
					id := finished(t, q, cl.now, "a1", 1, "one", "two", "three")
					times := 0
					r.answer = func(payload string) (bool, error) {
						if payload != []string{"one", "two", "three"}[bad-1] || times > 0 {
							return true, nil
						}
						times++
						return c.inserted, c.err
					}
					d := deliver(q, r, cl)
					for range 60 {
						steps(t, d, cl, 1)
						if crash {
							d = deliver(q, r, cl) // nothing but the queue is left
						}
					}
					if got := r.payloads(); !slices.Equal(got, []string{"one", "two", "three"}) {
						t.Errorf("arrived %q", got)
					}
					if r.flight != 1 {
						t.Errorf("%d parts in one request", r.flight)
					}
					job, err := q.Get(t.Context(), id)
					if err != nil || job.Status.State != queue.Delivered || job.Status.Report != r.ids[2] {
						t.Errorf("job is %s, report %s: %v", job.Status.State, job.Status.Report, err)
					}
				})
			}
		}
	}
}

// TestSecondRunInDoubt: a report of a later run is not taken for delivered
// because those of an earlier one are there.
func TestSecondRunInDoubt(t *testing.T) {
	t.Parallel()
	for name, inserted := range map[string]bool{"arrived": true, "lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := &clock{time.Now()}
			q, r := store(t), &remote{T: t}
			finished(t, q, cl.now, "a1", 1, "one", "two", "three")
			steps(t, deliver(q, r, cl), cl, 5)
			id := finished(t, q, cl.now, "a1", 2, "again")
			times := 0
			r.answer = func(string) (bool, error) {
				if times++; times > 1 {
					return true, nil
				}
				return inserted, fault.New(fault.Unknown, "post", "", errors.New("cut"))
			}
			steps(t, deliver(q, r, cl), cl, 30)
			if got := r.payloads(); !slices.Equal(got, []string{"one", "two", "three", "again"}) {
				t.Errorf("arrived %q", got)
			}
			if job, err := q.Get(t.Context(), id); err != nil || job.Status.State != queue.Delivered || job.Status.Report != r.ids[3] {
				t.Errorf("job is %s, report %s: %v", job.Status.State, job.Status.Report, err)
			}
		})
	}
}

// TestClockJumps: a report in doubt is looked for before it is posted again, and
// never earlier than the instance can be done with it, also when the clock was
// set back or forward meanwhile.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"back": -48 * time.Hour, "forward": 48 * time.Hour, "none": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := &clock{time.Now()}
			q, r := store(t), &remote{T: t}
			id := finished(t, q, cl.now, "a1", 1, "one")
			r.answer = func(string) (bool, error) { return false, fault.New(fault.Unknown, "post", "", errors.New("cut")) }
			steps(t, deliver(q, r, cl), cl, 1)
			r.answer = nil
			cl.now = cl.now.Add(jump)
			d := deliver(q, r, cl) // the process was restarted: only Sent is known
			if jump <= 0 {
				steps(t, d, cl, 5) // less than a minute by any clock
				if len(r.kept) != 0 {
					t.Errorf("posted again while the first request can still be executed")
				}
			}
			steps(t, d, cl, 20)
			if job, err := q.Get(t.Context(), id); err != nil || job.Status.State != queue.Delivered || len(r.kept) != 1 {
				t.Errorf("job is %s, %d reports: %v", job.Status.State, len(r.kept), err)
			}
		})
	}
}
