package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

// bench is a Delivery over a memory queue and an instance that the test plays.
type bench struct {
	t     *testing.T
	now   time.Time
	queue *queuetest.Memory
	d     *delivery.Delivery

	posted   []ecc.Message
	answer   func(n int, m ecc.Message) delivery.Receipt // nil: inserted
	found    map[delivery.Key][]string
	attached map[string]string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), attached: map[string]string{}}
	b.queue = queuetest.NewMemory(b.clock)
	b.restart()
	return b
}

// restart is what a new process begins with.
func (b *bench) restart() {
	b.queue.Reopen()
	b.d = delivery.New(delivery.Config{
		Instance: "i", Remote: b, Queue: b.queue, Log: slog.New(slog.DiscardHandler), Now: b.clock,
		Settle: time.Minute, Longest: 30 * time.Second, MostInline: 1000,
	})
}

func (b *bench) clock() time.Time { return b.now }

func (b *bench) Post(_ context.Context, messages []ecc.Message) []delivery.Receipt {
	receipts := make([]delivery.Receipt, len(messages))
	for i, m := range messages {
		b.posted = append(b.posted, m)
		receipts[i].SysID = fmt.Sprintf("report%d", len(b.posted))
		if b.answer != nil {
			receipts[i] = b.answer(len(b.posted), m)
		}
	}
	return receipts
}

func (b *bench) Find(_ context.Context, keys []delivery.Key) (map[delivery.Key][]string, error) {
	return b.found, nil
}

func (b *bench) Attach(_ context.Context, sysID, name string, size int64, body func() (io.ReadCloser, error)) (string, error) {
	r, err := body()
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) != size {
		err = fmt.Errorf("%d bytes announced, %d came", size, len(data))
	}
	b.attached[sysID+" "+name] = string(data)
	return "attachment1", errors.Join(err, r.Close())
}

// finish puts a job with this report and takes it to finished.
func (b *bench) finish(n int, outcome []byte) queue.ID {
	b.t.Helper()
	sysID := fmt.Sprintf("%032x", n)
	id := queue.NewID("i", sysID, 1)
	ctx := b.t.Context()
	job := queue.Job{ID: id, Instance: "i", SysID: sysID, Run: 1, Agent: "mid.server.x", Topic: "T", Received: b.now}
	if _, err := b.queue.Put(ctx, []queue.Entry{{Job: job, Message: []byte("m")}}); err != nil {
		b.t.Fatal(err)
	}
	move := queue.Transition{Job: id, From: queue.Received, To: queue.Finished, At: b.now, Result: queue.Succeeded, Outcome: outcome}
	if err := b.queue.Advance(ctx, move); err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) one(n int, payload string) queue.ID {
	b.t.Helper()
	data, err := report.Encode(report.Header{Agent: "mid.server.x", Topic: "T", Name: "n"}, payload)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.finish(n, data)
}

func (b *bench) step() (delivery.Result, error) { return b.d.Step(b.t.Context()) }

func (b *bench) state(id queue.ID) queue.State {
	b.t.Helper()
	j, err := b.queue.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return j.Status.State
}

func (b *bench) payloads() (list []string) {
	for _, m := range b.posted {
		list = append(list, m.Payload)
	}
	return list
}

func unknown() delivery.Receipt {
	return delivery.Receipt{Err: fault.New(fault.Unknown, "post", "it", io.ErrUnexpectedEOF)}
}

func TestADoubtfulReportIsLookedForBeforeItIsPostedAgain(t *testing.T) {
	t.Parallel()
	for name, there := range map[string]bool{"it had arrived": true, "it had not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := b.one(1, "payload")
			b.answer = func(int, ecc.Message) delivery.Receipt { return unknown() }
			if _, err := b.step(); err == nil {
				t.Error("the failure is silent")
			}
			b.answer = nil
			b.now = b.now.Add(59 * time.Second)
			if res, _ := b.step(); len(b.posted) != 1 || res.Next.Sub(b.now) != time.Second {
				t.Fatalf("%d posts within the settle time, next in %v", len(b.posted), res.Next.Sub(b.now))
			}
			if there {
				b.found = map[delivery.Key][]string{{ResponseTo: fmt.Sprintf("%032x", 1), Topic: "T", Name: "n", Agent: "mid.server.x"}: {"r"}}
			}
			b.now = b.now.Add(2 * time.Second)
			if _, err := b.step(); err != nil {
				t.Fatal(err)
			}
			if posts := len(b.posted); b.state(id) != queue.Delivered || there && posts != 1 || !there && posts != 2 {
				t.Errorf("%v after %d posts", b.state(id), posts)
			}
		})
	}
}

func TestAfterACrashAReportThatWasSentIsLeftAloneForLonger(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.one(1, "payload")
	if err := b.queue.Mark(t.Context(), queue.Mark{Job: id, Sent: b.now}); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.now = b.now.Add(89 * time.Second)
	if _, err := b.step(); err != nil || len(b.posted) != 0 {
		t.Fatalf("%d posts, %v", len(b.posted), err)
	}
	b.now = b.now.Add(2 * time.Second)
	if _, err := b.step(); err != nil || b.state(id) != queue.Delivered {
		t.Errorf("%v, %v", b.state(id), err)
	}
}

func TestAClockThatWasSetBackStopsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.one(1, "payload")
	if err := b.queue.Mark(t.Context(), queue.Mark{Job: id, Sent: b.now.AddDate(1, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	b.restart()
	for range 100 {
		if _, err := b.step(); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Second)
	}
	if b.state(id) != queue.Delivered || len(b.posted) != 1 {
		t.Errorf("%v after %d posts", b.state(id), len(b.posted))
	}
}

func TestARefusedReportIsKeptAndPostedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.one(1, "payload")
	b.answer = func(n int, _ ecc.Message) delivery.Receipt {
		if n < 40 {
			return delivery.Receipt{Err: fault.New(fault.Denied, "insert", "ecc_queue", errors.New("403"))}
		}
		return delivery.Receipt{SysID: "r"}
	}
	for i := 0; i < 3000 && b.state(id) != queue.Delivered; i++ {
		_, _ = b.step() // it fails until it does not
		b.now = b.now.Add(5 * time.Second)
	}
	if b.state(id) != queue.Delivered {
		t.Errorf("%v after %d posts", b.state(id), len(b.posted))
	}
	if waited := b.now.Sub(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)); waited < 30*time.Minute {
		t.Errorf("40 refused requests within %v", waited)
	}
}

func TestPartsGoInOrderOneAtATimeAndGoOnAfterACrash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var body bytes.Buffer
	w := report.NewWriter(&body)
	for _, p := range []string{"one", "two", "three"} {
		if err := w.Part(report.Header{Agent: "JDBCProbeResult", Topic: "JDBCProbe", Name: p}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	id := b.finish(1, body.Bytes())
	b.answer = func(n int, m ecc.Message) delivery.Receipt {
		if n == 2 {
			return unknown()
		}
		return delivery.Receipt{SysID: "r" + m.Name}
	}
	for i := 0; i < 300 && b.state(id) != queue.Delivered; i++ {
		before := len(b.posted)
		_, _ = b.step() // the second part's failure is on purpose
		if len(b.posted) > before+1 {
			t.Fatalf("%d parts in one step", len(b.posted)-before)
		}
		if i == 1 {
			b.restart()
		}
		b.now = b.now.Add(time.Second)
	}
	if diff := cmp.Diff([]string{"one", "two", "two", "three"}, b.payloads()); diff != "" || b.state(id) != queue.Delivered {
		t.Errorf("%v\n%s", b.state(id), diff)
	}
}

func TestALargeReportIsAttachedFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var body bytes.Buffer
	w := report.NewWriter(&body)
	if err := w.Part(report.Header{Agent: "a", Topic: "T", Slim: `<results attachment="` + report.AttachmentMark + `"/>`}); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 5000)
	if _, err := io.WriteString(w, large); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	id := b.finish(1, body.Bytes())
	if _, err := b.step(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`<results attachment="attachment1"/>`}, b.payloads()); diff != "" || b.state(id) != queue.Delivered {
		t.Errorf("%v\n%s", b.state(id), diff)
	}
	if got := b.attached[fmt.Sprintf("%032x sallyport-result-1-1.xml", 1)]; got != large {
		t.Errorf("%d bytes are attached: %v", len(got), b.attached)
	}
}

func TestABrokenReportIsReportedAsUnknownAndStopsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	broken := b.finish(1, []byte("no report"))
	whole := b.one(2, "payload")
	if _, err := b.step(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []queue.ID{broken, whole} {
		if b.state(id) != queue.Delivered {
			t.Errorf("%s is %v", id, b.state(id))
		}
	}
	if got := b.payloads()[0]; !strings.Contains(got, "outcome unknown") || !strings.Contains(got, "900000") {
		t.Errorf("the report of the broken one: %s", got)
	}
}

func TestAnotherInstanceThatIsAwayStarvesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	for n := range 1500 {
		id := queue.NewID("other", fmt.Sprintf("%032x", n), 1)
		job := queue.Job{ID: id, Instance: "other", SysID: fmt.Sprintf("%032x", n), Run: 1, Received: b.now}
		if _, err := b.queue.Put(ctx, []queue.Entry{{Job: job, Message: []byte("m")}}); err != nil {
			t.Fatal(err)
		}
		if err := b.queue.Advance(ctx, queue.Transition{Job: id, From: queue.Received, To: queue.Finished, At: b.now, Result: queue.Failed, Outcome: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	id := b.one(1, "payload")
	if _, err := b.step(); err != nil || b.state(id) != queue.Delivered {
		t.Errorf("%v, %v", b.state(id), err)
	}
}
