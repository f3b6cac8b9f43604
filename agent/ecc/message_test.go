package ecc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

const (
	sysID  = "0123456789abcdef0123456789abcdef"
	sysID2 = "fedcba9876543210fedcba9876543210"
)

func fullRecord() map[string]string {
	return map[string]string{
		"sys_id": sysID, "agent": "mid.server.Mid Server Dev", "topic": "Command", "name": "whoami", "source": "localhost",
		"queue": "output", "state": "ready", "priority": "1", "sequence": "186b282130d0000001", "payload": "<parameters/>",
		"response_to": "", "agent_correlator": "corr-7", "from_host": "h", "from_sys_id": "f", "error_string": "e",
		"processed": "2023-03-05 16:02:00", "signature": "s", "sys_created_on": "2023-03-05 16:01:54", "sys_created_by": "admin",
		"sys_updated_on": "2023-03-05 16:01:55", "sys_updated_by": "mid", "sys_mod_count": "3", "sys_domain": "global",
		"sys_domain_path": "/", "u_own": "kept",
	}
}

func fullMessage() ecc.Message {
	return ecc.Message{
		SysID: sysID, Agent: "mid.server.Mid Server Dev", Topic: "Command", Name: "whoami", Source: "localhost",
		Queue: ecc.QueueOutput, State: ecc.StateReady, Priority: ecc.PriorityExpedited, Sequence: "186b282130d0000001",
		Payload: "<parameters/>", AgentCorrelator: "corr-7", FromHost: "h", FromSysID: "f", ErrorString: "e",
		Processed: "2023-03-05 16:02:00", Signature: "s",
		Created: time.Date(2023, 3, 5, 16, 1, 54, 0, time.UTC), CreatedBy: "admin",
		Updated: time.Date(2023, 3, 5, 16, 1, 55, 0, time.UTC), UpdatedBy: "mid",
		ModCount: 3, Domain: "global", DomainPath: "/", Extra: map[string]string{"u_own": "kept"},
	}
}

func TestFromRecordReadsEveryColumn(t *testing.T) {
	t.Parallel()
	got, err := ecc.FromRecord(fullRecord())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fullMessage(), got); d != "" {
		t.Error(d)
	}
}

func TestFromRecordNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ column, value, want string }{
		{"sys_id", "", "column sys_id is empty"},
		{"sys_id", "a^state=ready", "column sys_id"},
		{"sys_id", "../../etc", "column sys_id"},
		{"sys_id", strings.Repeat("a", 65), "column sys_id"},
		{"agent", "", "column agent is empty"},
		{"topic", "", "column topic is empty"},
		{"sys_mod_count", "many", "column sys_mod_count"},
		{"sys_mod_count", "-1", "column sys_mod_count"},
		{"sys_created_on", "05.03.2023", "column sys_created_on"},
		{"sys_updated_on", "now", "column sys_updated_on"},
	} {
		record := fullRecord()
		record[c.column] = c.value
		m, err := ecc.FromRecord(record)
		if err == nil {
			t.Errorf("%s = %q was taken", c.column, c.value)
			continue
		}
		if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %q: %v", c.column, c.value, err)
		}
		if m.AgentCorrelator != "corr-7" || m.Name != "whoami" {
			t.Errorf("%s = %q: the rest of the message is lost: %+v", c.column, c.value, m)
		}
	}
}

func TestFromRecordNamesAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := ecc.FromRecord(map[string]string{"sys_mod_count": "x"})
	for _, column := range []string{"agent", "topic", "sys_id", "sys_mod_count"} {
		if err == nil || !strings.Contains(err.Error(), column) {
			t.Errorf("%s is not named: %v", column, err)
		}
	}
}

func TestPriority(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"0": 0, "1": 1, "2": 2, "": 2, "-1": 2, "99999999999999": 2, "high": 2, "1\n": 1, "3": 2} {
		if got := ecc.ParsePriority(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	if m, _ := ecc.FromRecord(map[string]string{}); m.Priority != ecc.PriorityStandard {
		t.Errorf("without a priority it is %d", m.Priority)
	}
}

func TestFieldsAreWhatAnInsertNeeds(t *testing.T) {
	t.Parallel()
	out := fullMessage()
	got := ecc.Input(out, "<results/>").Fields()
	want := map[string]string{
		"agent": "mid.server.Mid Server Dev", "topic": "Command", "name": "whoami", "source": "localhost", "queue": "input",
		"state": "ready", "priority": "1", "payload": "<results/>", "response_to": sysID, "agent_correlator": "corr-7",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestEncodeKeepsEveryByte(t *testing.T) {
	t.Parallel()
	full := fullMessage()
	broken := full
	broken.Payload = "\xFF\xFE\x00 not UTF-8 \xC3"
	broken.Extra = map[string]string{"u_empty": "", "u_b": "\x80"}
	for _, m := range []ecc.Message{full, broken, {Priority: 2}, {Priority: 0, SysID: "x"}} {
		got, err := ecc.Decode(ecc.Encode(m))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, got); d != "" {
			t.Error(d)
		}
	}
}

func TestDecodeRefusesWhatIsCut(t *testing.T) {
	t.Parallel()
	data := ecc.Encode(fullMessage())
	refused := 0
	for n := range data {
		if m, err := ecc.Decode(data[:n]); err != nil {
			refused++
			if fault.KindOf(err) != fault.Internal {
				t.Fatalf("cut at %d: %v", n, err)
			}
		} else if m.SysID != "" && m.SysID != sysID {
			t.Fatalf("cut at %d gives another job: %q", n, m.SysID)
		}
	}
	if refused < len(data)*8/10 {
		t.Errorf("only %d of %d cuts were noticed", refused, len(data))
	}
	if _, err := ecc.Decode([]byte("{}")); err == nil {
		t.Error("a foreign text was decoded")
	}
}

func TestCharactersCountsAsAnInstanceDoes(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"": 0, "abc": 3, "ü€": 2, "😀": 2, "a\xFFb": 3} {
		if got := ecc.Characters(s); got != want {
			t.Errorf("%q has %d, want %d", s, got, want)
		}
	}
}
