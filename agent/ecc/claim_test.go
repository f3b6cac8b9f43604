package ecc_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

func TestClaimIsReadBack(t *testing.T) {
	t.Parallel()
	text := ecc.ProcessingClaim([]string{sysID, sysID2}, ecc.StateProcessing)
	golden(t, "claim.xml", text)
	got, err := ecc.ParseProcessingClaim(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []ecc.Claim{{SysID: sysID, State: "processing"}, {SysID: sysID2, State: "processing"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if none, err := ecc.ParseProcessingClaim(ecc.ProcessingClaim(nil, "processing")); err != nil || len(none) != 0 {
		t.Errorf("no claims give %v, %v", none, err)
	}
}

func TestClaimEscapesWhatItIsGiven(t *testing.T) {
	t.Parallel()
	text := ecc.ProcessingClaim([]string{`</sys_id><sys_id state="x">`}, `"><evil`)
	if strings.Count(text, "<sys_id") != 1 || strings.Contains(text, "<evil") {
		t.Error(text)
	}
}

func TestClaimsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "x", "<parameters/>", `<queue.processing output_message_count="2"><sys_id state="processing">` + sysID + `</sys_id></queue.processing>`,
		`<queue.processing><sys_id>` + sysID + `</sys_id></queue.processing>`,
		`<queue.processing><sys_id state="processing">a^b</sys_id></queue.processing>`,
		`<queue.processing><sys_id state="processing"/></queue.processing>`,
		`<queue.processing><other/></queue.processing>`,
		`<queue.processing><sys_id state="processing"><b/></sys_id></queue.processing>`,
	} {
		if c, err := ecc.ParseProcessingClaim(s); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q gives %v, %v", s, c, err)
		}
	}
}
