package simulator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

const edge = "mid.server.edge1"

func TestClaimByInsertThenResult(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	ids := s.PutOutputs([]simulator.Output{{Agent: edge, Topic: "Command", Name: "a"}, {Agent: edge, Topic: "Command", Name: "b"}})
	claim := s.input(t, map[string]string{"agent": edge, "topic": "queue.processing", "payload": claimPayload("processing", ids...)})
	if claim["state"] != "processed" {
		t.Errorf("claim record is %v, want processed", claim["state"])
	}
	for _, id := range ids {
		r := s.Record("ecc_queue", id)
		want(t, r, "state", "processing", "sys_mod_count", "1")
		if r["processed"] == "" {
			t.Error("processed is not set by the claim")
		}
	}
	in := s.input(t, map[string]string{"agent": edge, "topic": "Command", "response_to": ids[0], "payload": goodResult})
	if in["state"] != "ready" {
		t.Errorf("result is %v, want ready", in["state"])
	}
	want(t, s.Record("ecc_queue", ids[0]), "state", "processed", "sys_mod_count", "2")
	want(t, s.Record("ecc_queue", ids[1]), "state", "processing", "sys_mod_count", "1")
	s.input(t, map[string]string{"agent": edge, "topic": "Command", "response_to": ids[0], "payload": goodResult})
	want(t, s.Record("ecc_queue", ids[0]), "sys_mod_count", "2")
	if j := s.Jobs(); j.Answered != 1 || j.Repeated != 1 || j.Inputs != 2 || j.Outputs["processing"] != 1 {
		t.Errorf("jobs: %+v", j)
	}
}

func TestClaimTouchesOutputsOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	in := s.input(t, map[string]string{"agent": edge, "topic": "Command", "payload": goodResult})
	out := s.PutOutput(simulator.Output{Agent: edge, Topic: "Command"})
	id := in["sys_id"].(string)
	s.input(t, map[string]string{"agent": edge, "topic": "queue.processing", "payload": claimPayload("processing", id) + "<!-- " + claimPayload("processing", out) + " -->"})
	want(t, s.Record("ecc_queue", id), "state", "ready")
	want(t, s.Record("ecc_queue", out), "state", "ready")
	s.input(t, map[string]string{"agent": edge, "topic": "queue.processing", "payload": claimPayload("exploded", out)})
	want(t, s.Record("ecc_queue", out), "state", "ready")
	s.input(t, map[string]string{"agent": edge, "topic": "queue.processing", "payload": claimPayload("cancelled", out)})
	want(t, s.Record("ecc_queue", out), "state", "cancelled")
}

func TestSensorErrorWithoutEcho(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	for name, tc := range map[string]struct{ payload, state string }{
		"echoed":            {goodResult, "ready"},
		"single quotes":     {`<results><parameters><parameter  value='true' name='skip_sensor' /></parameters></results>`, "ready"},
		"missing":           {`<results><result/><parameters><parameter name="topic" value="Command"/></parameters></results>`, "error"},
		"false":             {`<results><parameters><parameter name="skip_sensor" value="false"/></parameters></results>`, "error"},
		"in a comment":      {`<results><parameters><!--<parameter name="skip_sensor" value="true"/>--></parameters></results>`, "error"},
		"in output":         {`<results><result>&lt;parameter name="skip_sensor" value="true"/&gt;</result></results>`, "error"},
		"not in parameters": {`<results><parameter name="skip_sensor" value="true"/></results>`, "error"},
		"no xml":            {`skip_sensor=true`, "error"},
	} {
		in := s.input(t, map[string]string{"agent": edge, "topic": "Command", "payload": tc.payload})
		if in["state"] != tc.state {
			t.Errorf("%s: state %v, want %s", name, in["state"], tc.state)
		}
		if tc.state == "error" && in["error_string"] != "No sensors defined" {
			t.Errorf("%s: error_string %v", name, in["error_string"])
		}
	}
}

func TestFanOutToEveryAgent(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Agents: []string{"edge1", "edge 2"}})
	id := s.PutOutput(simulator.Output{Agent: "mid.server.*", Topic: "SystemCommand", Source: "restart", Priority: "0"})
	want(t, s.Record("ecc_queue", id), "state", "processed")
	got, err := s.Query("ecc_queue", "topic=SystemCommand^state=ready^ORDERBYagent")
	if err != nil || len(got) != 2 {
		t.Fatalf("%v %v", got, err)
	}
	want(t, got[0], "agent", "mid.server.edge 2", "source", "restart", "priority", "0")
	want(t, got[1], "agent", "mid.server.edge1")
}

func TestRunAgainCancelReassign(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{})
	id := s.PutOutput(simulator.Output{Agent: edge, Topic: "Command"})
	s.input(t, map[string]string{"agent": edge, "topic": "Command", "response_to": id, "payload": goodResult})
	if !s.RunAgain(id) {
		t.Fatal("no such output")
	}
	want(t, s.Record("ecc_queue", id), "state", "ready", "sys_mod_count", "2")
	s.Reassign(id, "mid.server.other")
	want(t, s.Record("ecc_queue", id), "agent", "mid.server.other", "state", "ready")
	s.Cancel(id)
	want(t, s.Record("ecc_queue", id), "state", "cancelled")
	if s.RunAgain("feed") {
		t.Error("an unknown output was run again")
	}
}

func TestHeartbeatMarksDownAndFailsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{Agents: []string{"edge1", "edge2"}, HeartbeatEvery: 5 * time.Minute, FailOver: map[string]string{"edge1": "edge2"}})
		ids := s.PutOutputs([]simulator.Output{{Agent: edge, Topic: "JavascriptProbe"}, {Agent: edge, Topic: "Command"}, {Agent: edge, Topic: "SSHCommand"}})
		s.input(t, map[string]string{"agent": edge, "topic": "queue.processing", "payload": claimPayload("processing", ids[2])})
		pass(5*time.Minute + time.Second)
		if n, _ := s.Count("ecc_queue", "agent="+edge+"^topic=HeartbeatProbe^state=ready"); n != 1 {
			t.Fatalf("%d heartbeats, want 1", n)
		}
		s.input(t, map[string]string{"agent": "mid.server.edge2", "topic": "HeartbeatProbe", "payload": goodResult})
		pass(5 * time.Minute)
		status := func(name string) string {
			r, err := s.Query("ecc_agent", "name="+name)
			if err != nil || len(r) != 1 {
				t.Fatal(r, err)
			}
			return r[0]["status"]
		}
		if status("edge1") != "Down" || status("edge2") != "Up" {
			t.Errorf("edge1 %s, edge2 %s", status("edge1"), status("edge2"))
		}
		want(t, s.Record("ecc_queue", ids[0]), "agent", "mid.server.edge2", "state", "ready", "sys_mod_count", "1")
		want(t, s.Record("ecc_queue", ids[1]), "agent", edge) // Command is never moved
		want(t, s.Record("ecc_queue", ids[2]), "agent", "mid.server.edge2", "state", "ready", "sys_mod_count", "2")
		if n, _ := s.Count("ecc_queue", "agent=mid.server.edge2^source=resetQueryWindow"); n != 1 {
			t.Errorf("%d resetQueryWindow, want 1", n)
		}
		s.input(t, map[string]string{"agent": edge, "topic": "HeartbeatProbe", "payload": goodResult})
		if status("edge1") != "Up" {
			t.Error("an answered heartbeat does not bring the agent up")
		}
	})
}

// Either sign of life keeps an agent up: a fresh record, or any input.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{Agents: []string{"silent", "fresh", "busy"}})
		s.Heartbeat()
		pass(time.Minute)
		s.input(t, map[string]string{"agent": "mid.server.busy", "topic": "Command", "payload": goodResult})
		fresh, _ := s.Query("ecc_agent", "name=fresh")
		if err := s.Update("ecc_agent", fresh[0]["sys_id"], simulator.Record{"last_refreshed": time.Now().UTC().Format(time.DateTime)}); err != nil {
			t.Fatal(err)
		}
		stale := time.Now().Add(-time.Hour).UTC().Format(time.DateTime)
		for _, name := range []string{"silent", "busy"} {
			r, _ := s.Query("ecc_agent", "name="+name)
			if err := s.Update("ecc_agent", r[0]["sys_id"], simulator.Record{"last_refreshed": stale}); err != nil {
				t.Fatal(err)
			}
		}
		pass(4 * time.Minute)
		s.Heartbeat()
		down, err := s.Query("ecc_agent", "status=Down")
		if err != nil || len(down) != 1 || down[0]["name"] != "silent" {
			t.Errorf("down: %v %v", down, err)
		}
		if n, _ := s.Count("ecc_queue", "topic=HeartbeatProbe^state=ready^agent!=mid.server.*"); n != 3 {
			t.Errorf("%d open heartbeats, want only those of the last round", n)
		}
	})
}

func TestRetryPolicyRequeues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{RetryPolicies: []simulator.RetryPolicy{{Topic: "Command", Matches: "UnknownHost", After: 15 * time.Second, Max: 2}}})
		id := s.PutOutput(simulator.Output{Agent: edge, Topic: "Command"})
		bad := strings.Replace(goodResult, "<result/>", `<result error="java.net.UnknownHostException"/>`, 1)
		for i := range 3 {
			s.input(t, map[string]string{"agent": edge, "topic": "Command", "response_to": id, "payload": bad})
			want(t, s.Record("ecc_queue", id), "state", "processed")
			pass(16 * time.Second)
			state := map[bool]string{true: "ready", false: "processed"}[i < 2]
			want(t, s.Record("ecc_queue", id), "state", state)
		}
		want(t, s.Record("ecc_queue", id), "sys_mod_count", "5")
	})
}

func TestSequenceGrowsAndHoldsTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 3, 5, 16, 1, 54, 445e6, time.UTC)
	s := newSite(t, simulator.Options{Now: func() time.Time { return at }})
	ids := s.PutOutputs(make([]simulator.Output, 12))
	want(t, s.Record("ecc_queue", ids[0]), "sequence", "186b282130d0000001")
	want(t, s.Record("ecc_queue", ids[11]), "sequence", "186b282130d0000012")
}

func TestOldPayloadsAreDropped(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{KeepPayloads: 2})
	var ids []string
	for i := range 4 {
		id := s.PutOutput(simulator.Output{Agent: edge, Topic: "Command", Payload: fmt.Sprint("p", i)})
		s.input(t, map[string]string{"agent": edge, "topic": "Command", "response_to": id, "payload": goodResult})
		ids = append(ids, id)
	}
	want(t, s.Record("ecc_queue", ids[1]), "payload", "")
	want(t, s.Record("ecc_queue", ids[2]), "payload", "p2")
	if n, _ := s.Count("ecc_queue", "response_to="+ids[0]+"^payloadISEMPTY"); n != 1 {
		t.Error("the payload of the old input is still there")
	}
}
