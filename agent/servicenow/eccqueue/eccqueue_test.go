package eccqueue_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/servicenow/eccqueue"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

const agent = "mid.server.edge1"

// open makes an instance and its ECC queue. The transport may be changed on its
// way by wrap.
func open(t *testing.T, o simulator.Options, c eccqueue.Config, wrap func(http.RoundTripper) http.RoundTripper) (*simulator.Instance, *eccqueue.Queue) {
	t.Helper()
	inst, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inst.Close)
	rt := inst.Transport()
	if wrap != nil {
		rt = wrap(rt)
	}
	c.Client, err = servicenow.New(servicenow.Config{
		URL: "http://127.0.0.1", Transport: rt,
		Basic: &servicenow.Basic{Username: "mid", Password: func() (string, error) { return "mid", nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Client.Close)
	c.Agent, c.Log = agent, slog.New(slog.DiscardHandler)
	return inst, eccqueue.New(c)
}

func TestReadyGivesTheAgentsOwnOutputsInOrder(t *testing.T) {
	t.Parallel()
	inst, q := open(t, simulator.Options{}, eccqueue.Config{}, nil)
	inst.PutOutput(simulator.Output{Agent: "mid.server.other", Topic: "Command", Name: "not ours"})
	inst.PutOutputs([]simulator.Output{
		{Agent: agent, Topic: "Command", Name: "second", Priority: "2", Correlator: "RITM1", Source: "h", Payload: "<parameters/>"},
		{Agent: agent, Topic: "Command", Name: "first", Priority: "0"},
		{Agent: agent, Topic: "Command", Name: "third", Priority: "2"},
	})
	page, last, err := q.Ready(t.Context(), 0, 2)
	if err != nil || last {
		t.Fatal(last, err)
	}
	more, last, err := q.Ready(t.Context(), 2, 2)
	if err != nil || !last {
		t.Fatal(last, err)
	}
	var names []string
	for _, m := range append(page, more...) {
		names = append(names, m.Name)
	}
	if diff := cmp.Diff([]string{"first", "second", "third"}, names); diff != "" {
		t.Error(diff)
	}
	if m := page[1]; m.AgentCorrelator != "RITM1" || m.Source != "h" || m.Payload != "<parameters/>" || m.Created.IsZero() || m.Sequence == "" {
		t.Errorf("a column is missing: %+v", m)
	}
}

func TestClaimShowsInLook(t *testing.T) {
	t.Parallel()
	inst, q := open(t, simulator.Options{}, eccqueue.Config{Marker: "sallyport h 1"}, nil)
	var ids []string
	for range 300 { // several queries for one look
		ids = append(ids, inst.PutOutput(simulator.Output{Agent: agent, Topic: "Command"}))
	}
	if err := q.Claim(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	found, err := q.Look(t.Context(), append(ids, "00000000000000000000000000000000"))
	if err != nil || len(found) != len(ids) {
		t.Fatal(len(found), err)
	}
	for id, s := range found {
		if s.State != ecc.StateProcessing || s.Agent != agent || s.ModCount != 1 {
			t.Errorf("%s: %+v", id, s)
		}
	}
	processing, err := q.Processing(t.Context(), "", 500)
	if err != nil || len(processing) != len(ids) {
		t.Error(len(processing), err)
	}
	if err := q.Settle(t.Context(), ids[:1]); err != nil {
		t.Fatal(err)
	}
	if state := inst.Record("ecc_queue", ids[0])["state"]; state != ecc.StateProcessed {
		t.Errorf("settled: %s", state)
	}
}

// deaf swallows claims by insert: an instance whose business rule does not take.
type deaf struct{ http.RoundTripper }

func (d deaf) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.ReplaceAll(body, []byte(`"topic":"queue.processing"`), []byte(`"topic":"queue.swallowed"`))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return d.RoundTripper.RoundTrip(r)
}

func TestClaimsAreUpdatesWhereInsertsDoNotTake(t *testing.T) {
	t.Parallel()
	rules := map[string]simulator.ACL{"ecc_queue": {Read: []string{"mid_server"}, Insert: []string{"mid_server"}, Write: []string{"mid_server"}}}
	for claim, want := range map[string]string{eccqueue.ClaimAuto: ecc.StateProcessing, eccqueue.ClaimInsert: ecc.StateReady, eccqueue.ClaimUpdate: ecc.StateProcessing} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			inst, q := open(t, simulator.Options{ACL: rules}, eccqueue.Config{Claim: claim}, func(rt http.RoundTripper) http.RoundTripper { return deaf{rt} })
			id := inst.PutOutput(simulator.Output{Agent: agent, Topic: "Command"})
			for range 3 {
				if err := q.Claim(t.Context(), []string{id}); err != nil {
					t.Fatal(err)
				}
			}
			if got := inst.Record("ecc_queue", id)["state"]; got != want {
				t.Errorf("it is %s, want %s", got, want)
			}
		})
	}
}

func TestReportsArePostedAndFound(t *testing.T) {
	t.Parallel()
	inst, q := open(t, simulator.Options{}, eccqueue.Config{}, nil)
	long := strings.Repeat("n", 100)
	var messages []ecc.Message
	var keys []delivery.Key
	for range 150 {
		out := ecc.Message{
			SysID: inst.PutOutput(simulator.Output{Agent: agent, Topic: "Command", Name: long}),
			Agent: agent, Topic: "Command", Name: long, Priority: 2,
		}
		messages = append(messages, ecc.Input(out, `<results/>`))
		keys = append(keys, delivery.Key{ResponseTo: out.SysID, Topic: "Command", Name: long, Agent: agent})
	}
	receipts := q.Post(t.Context(), messages[:149])
	found, err := q.Find(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		if r.Err != nil || r.SysID == "" {
			t.Fatalf("receipt %d: %+v", i, r)
		}
		if diff := cmp.Diff([]string{r.SysID}, found[keys[i]]); diff != "" {
			t.Errorf("report %d:\n%s", i, diff)
		}
		if state := inst.Record("ecc_queue", keys[i].ResponseTo)["state"]; state != ecc.StateProcessed {
			t.Errorf("output %d is %s", i, state)
		}
	}
	if len(found[keys[149]]) != 0 {
		t.Errorf("what was never posted is found: %v", found[keys[149]])
	}
}

func TestAnAttachmentIsStoredOnce(t *testing.T) {
	t.Parallel()
	inst, q := open(t, simulator.Options{}, eccqueue.Config{}, nil)
	id := inst.PutOutput(simulator.Output{Agent: agent, Topic: "Command"})
	content := strings.Repeat("<a/>", 10_000)
	body := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
	var ids []string
	for range 2 {
		a, err := q.Attach(t.Context(), id, "sallyport-result-1-1.xml", int64(len(content)), body)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a)
	}
	there := inst.Attachments(id)
	if len(there) != 1 || string(there[0].Content) != content || ids[0] != ids[1] || there[0].SysID != ids[0] {
		t.Errorf("%d attachments, ids %v", len(there), ids)
	}
}

func TestAPayloadIsReadFromItsAttachment(t *testing.T) {
	t.Parallel()
	inst, q := open(t, simulator.Options{}, eccqueue.Config{}, nil)
	id := inst.PutOutput(simulator.Output{Agent: agent, Topic: "Command", Payload: "<see_attachment/>"})
	if _, err := q.Payload(t.Context(), id); err == nil {
		t.Error("a payload came from nowhere")
	}
	content := "<parameters>ü</parameters>"
	if _, err := q.Attach(t.Context(), id, "payload.txt", int64(len(content)), func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content)), nil
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := q.Payload(t.Context(), id); err != nil || got != content {
		t.Errorf("%q, %v", got, err)
	}
	// The instance gives up halfway: what came is not the payload.
	file := simulator.Fault{Effect: simulator.MaxExecution, Path: "/api/now/attachment/*/file"}
	if _, err := inst.Faults().Add(file); err != nil {
		t.Fatal(err)
	}
	if got, err := q.Payload(t.Context(), id); err == nil {
		t.Errorf("taken for the payload: %q", got)
	}
}

func TestTwinsAreOthersOfTheSameName(t *testing.T) {
	t.Parallel()
	inst, q := open(t, simulator.Options{}, eccqueue.Config{Marker: "sallyport here 1"}, nil)
	since := time.Now().Add(-time.Minute)
	id := inst.PutOutput(simulator.Output{Agent: agent, Topic: "Command"})
	if err := q.Claim(t.Context(), []string{id}); err != nil {
		t.Fatal(err)
	}
	if twins, err := q.Twins(t.Context(), since); err != nil || len(twins) != 0 {
		t.Fatalf("our own claim is a twin's: %v, %v", twins, err)
	}
	if _, err := inst.Insert("ecc_queue", simulator.Record{
		"agent": agent, "topic": "queue.processing", "queue": "input", "state": "ready", "payload": ecc.ProcessingClaim([]string{id}, "processing"),
	}); err != nil {
		t.Fatal(err)
	}
	twins, err := q.Twins(t.Context(), since)
	if err != nil || len(twins) != 1 || twins[0].Marker != "" || len(twins[0].SysIDs) != 1 {
		t.Errorf("%+v, %v", twins, err)
	}
}
