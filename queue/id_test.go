package queue_test

import (
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

func TestNewID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		instance, sysID string
		run             int
		want            queue.ID
		split           int
	}{
		{"prod", "a1", 1, "prod/a1", 1},
		{"prod", "a1", 0, "prod/a1", 1},
		{"prod", "a1", -3, "prod/a1", 1},
		{"prod", "a1", 2, "prod/a1#2", 2},
		{"prod", "a1", 120, "prod/a1#120", 120},
	} {
		got := queue.NewID(c.instance, c.sysID, c.run)
		if got != c.want {
			t.Errorf("id %q, want %q", got, c.want)
		}
		instance, sysID, run, err := got.Split()
		if err != nil || instance != c.instance || sysID != c.sysID || run != c.split {
			t.Errorf("%s splits into %q, %q, %d; %v", got, instance, sysID, run, err)
		}
	}
}

func TestMalformedID(t *testing.T) {
	t.Parallel()
	for _, id := range []queue.ID{
		"", "/", "prod", "prod/", "/a1", "prod/a/b", "prod/#2", "prod/a1#", "prod/a1#0", "prod/a1#1", "prod/a1#-2",
		"prod/a1#02", "prod/a1#+2", "prod/a1# 2", "prod/a1#2x", "prod/a1#2#3", "prod/a1#99999999999999999999",
	} {
		instance, sysID, run, err := id.Split()
		if err == nil || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%q splits into %q, %q, %d; %v", id, instance, sysID, run, err)
		}
		if instance != "" || sysID != "" || run != 0 {
			t.Errorf("%q is malformed, but gives %q, %q, %d", id, instance, sysID, run)
		}
	}
}

// FuzzSplit: what can be split is what NewID makes of the parts, and nothing
// else can; so no two ids mean one run.
func FuzzSplit(f *testing.F) {
	for _, id := range []string{"prod/a1", "prod/a1#2", "prod/a1#10", "prod/#2", "a/b#", "a/b#03", "a/b#2#3", "a//b", "\x00/\xff#2"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id := queue.ID(text)
		instance, sysID, run, err := id.Split()
		if err != nil {
			return
		}
		if run < 1 || instance == "" || sysID == "" || strings.ContainsAny(instance, "/") || strings.ContainsAny(sysID, "/#") {
			t.Errorf("%q splits into %q, %q, %d", text, instance, sysID, run)
		}
		if again := queue.NewID(instance, sysID, run); again != id {
			t.Errorf("%q splits into the parts of %q", text, again)
		}
	})
}

// FuzzNewID: an id that NewID makes of clean parts gives them back.
func FuzzNewID(f *testing.F) {
	f.Add("prod", "0123456789abcdef0123456789abcdef", 1)
	f.Add("prod", "a", 7)
	f.Add("a#2", "b", 2)
	f.Add("", "b", 2)
	f.Fuzz(func(t *testing.T, instance, sysID string, run int) {
		if instance == "" || sysID == "" || strings.Contains(instance, "/") || strings.ContainsAny(sysID, "/#") {
			return
		}
		gotInstance, gotSysID, gotRun, err := queue.NewID(instance, sysID, run).Split()
		if err != nil || gotInstance != instance || gotSysID != sysID || gotRun != max(run, 1) {
			t.Errorf("%q, %q, %d come back as %q, %q, %d; %v", instance, sysID, run, gotInstance, gotSysID, gotRun, err)
		}
	})
}
