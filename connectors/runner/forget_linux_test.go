package runner_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

func TestForgetLaterGoesWithTheNextRequest(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	mustRun(t, p.client, sh("a", "echo x"))
	p.client.ForgetLater("a")
	if st, err := p.client.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Forgotten {
		t.Errorf("%+v %v", st, err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "jobs", "*.out")); len(left) > 0 {
		t.Errorf("output stays: %q", left)
	}
}

func TestForgetLaterNeedsNoOtherRequest(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	mustRun(t, p.client, sh("a", "echo x"))
	p.client.ForgetLater("a")
	waitFor(t, func() bool {
		left, _ := filepath.Glob(filepath.Join(p.dir, "jobs", "*.out"))
		return len(left) == 0
	})
}

// What could not be sent waits for the runner to be back.
func TestForgetLaterOutlivesTheRunner(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	mustRun(t, p.client, sh("a", "echo x"))
	p.kill()
	p.client.ForgetLater("a")
	if _, err := p.client.Ping(t.Context()); err == nil {
		t.Fatal("a dead runner answers")
	}
	next := startRunner(t, p.dir)
	if st, err := next.client.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Exited {
		t.Fatalf("%+v %v", st, err)
	}
	if st, err := p.client.Lookup(t.Context(), "a", 1); err != nil || st.State != runner.Forgotten {
		t.Errorf("%+v %v", st, err)
	}
}

// A power cut may keep what a file that was used again holds, and take its name
// back: the job that it tells of was begun, and the one that it is named after
// was forgotten.
func TestARecordCountsBeforeItsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startRunner(t, dir)
	mustRun(t, p.client, sh("first", "true"))
	if err := p.client.Forget(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	mustRun(t, p.client, sh("second", "exit 3"))
	p.kill()
	jobs := filepath.Join(dir, "jobs")
	if names, _ := filepath.Glob(filepath.Join(jobs, "*.job")); len(names) != 1 {
		t.Fatalf("the file was not used again: %q", names)
	}
	if err := os.Rename(filepath.Join(jobs, "jsecond@1.job"), filepath.Join(jobs, "jfirst@1.job")); err != nil {
		t.Fatal(err)
	}
	p = startRunner(t, dir)
	if st, err := p.client.Lookup(t.Context(), "second", 1); err != nil || st.State != runner.Exited || st.Result.ExitCode != 3 {
		t.Errorf("%+v %v", st, err)
	}
	if st, err := p.client.Lookup(t.Context(), "first", 1); err != nil || st.State != runner.Fenced {
		t.Errorf("%+v %v", st, err)
	}
	if err := p.client.Forget(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
}

// A block that was half written when the power failed holds the beginning of
// the new record and the rest of the old one.
func TestAnotherRecordsEndDoesNotCount(t *testing.T) {
	t.Parallel()
	const first = `{"begun":{"nonce":"NEW","job":"b","attempt":1}}` + "\n"
	const end = `{"of":"OLD","end":{"exit_code":0}}` + "\n"
	mixed := first + strings.Repeat("\x00", 100) + "of an old line\n" + end
	if begun, ended := runner.ParseRecord([]byte(mixed)); !begun || ended {
		t.Errorf("begun %v, ended %v", begun, ended)
	}
	own := first + strings.ReplaceAll(end, "OLD", "NEW") + strings.Repeat("\x00", 100)
	if begun, ended := runner.ParseRecord([]byte(own)); !begun || !ended {
		t.Errorf("its own: begun %v, ended %v", begun, ended)
	}
}

func TestAForgottenJobIsNotBackAfterACrash(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	for _, job := range []string{"a", "b"} {
		mustRun(t, p.client, sh(job, "echo x"))
	}
	for _, job := range []string{"a", "b"} {
		if err := p.client.Forget(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	p.kill()
	p = startRunner(t, p.dir)
	if list, err := p.client.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("%+v %v", list, err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "jobs", "*")); len(left) > 0 {
		t.Errorf("files stay: %q", left)
	}
}
