package runner_test

import (
	"testing"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// Batch files get only arguments that cmd.exe cannot read otherwise
// (CVE-2024-24576).
func TestBatchArguments(t *testing.T) {
	t.Parallel()
	got, err := runner.BatchLine(`C:\My Tools\x.bat`, []string{"a b", `C:\dir\`, "-x=1"})
	if want := `"C:\My Tools\x.bat" "a b" "C:\dir\\" "-x=1"`; err != nil || got != want {
		t.Errorf("%s %v", got, err)
	}
	for _, bad := range []string{`"`, "%PATH%", "a&b", "a|b", "^", "!x!", "\n", "a;b", "(x)"} {
		if got, err := runner.BatchLine(`C:\x.bat`, []string{bad}); err == nil {
			t.Errorf("%q is quoted as %s", bad, got)
		}
	}
	if _, err := runner.BatchLine(`C:\%x%\y.bat`, nil); err == nil {
		t.Error("a path with a variable")
	}
}
