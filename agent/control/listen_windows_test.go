package control

import (
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func TestTheGroupOfThePipeMayNotAnswerInTheAgentsPlace(t *testing.T) {
	t.Parallel()
	const createInstance = 0x4 // FILE_CREATE_PIPE_INSTANCE
	if clientRights&createInstance != 0 {
		t.Errorf("rights %x", clientRights)
	}
	sid, err := windows.CreateWellKnownSid(windows.WinBuiltinUsersSid)
	if err != nil {
		t.Fatal(err)
	}
	name, domain, _, err := sid.LookupAccount("")
	if err != nil {
		t.Fatal(err)
	}
	sddl, err := descriptor(domain + `\` + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := windows.SecurityDescriptorFromString(sddl); err != nil || !strings.HasPrefix(sddl, "D:P(D;;GA;;;NU)") {
		t.Errorf("%s: %v", sddl, err)
	}
}
