package agent_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// smallDisk mounts a file system of its own as the state folder.
func (s *site) smallDisk(size string) {
	s.Helper()
	if os.Geteuid() != 0 {
		s.Skip("mounting a small file system needs root")
	}
	if err := os.MkdirAll(s.state, 0o700); err != nil {
		s.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.state, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		if errors.Is(err, syscall.EPERM) {
			s.Skipf("mounting is not permitted here: %v", err)
		}
		s.Fatal(err)
	}
	s.Cleanup(func() {
		s.clean() // before the folder goes
		if err := syscall.Unmount(s.state, syscall.MNT_DETACH); err != nil {
			s.Error(err)
		}
	})
}

// fill writes a file until the disk is full.
func (s *site) fill() (free func()) {
	s.Helper()
	path := filepath.Join(s.state, "ballast")
	f, err := os.Create(path)
	if err != nil {
		s.Fatal(err)
	}
	for _, size := range []int64{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = io.Copy(f, io.LimitReader(zero{}, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			s.Fatal(err)
		}
	}
	_ = f.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			s.Fatal(err)
		}
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestFullDisk: with a full state folder the agent takes nothing new, answers
// heartbeats, says why in status, and goes on by itself when there is room
// again. What ran meanwhile is reported once, and nothing is lost or run twice.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, diagRule)
	s.appending("")
	s.change = func(c *config.Config) { c.Queue.Reserve = 1 << 20 }
	s.smallDisk("64m")
	a := s.start()
	running := s.native("diag.append", `{"seconds":0.5}`)
	s.is(running, "started")
	room := s.fill()
	s.until("status says why nothing is taken", func() bool {
		st := a.Status(t.Context())
		return st.Instances[0].Blocked != "" && st.Disk.Error != "" && len(st.Problems) > 0 && strings.Contains(st.Problems[0], "cannot be written")
	})
	fresh := s.native("diag.append", "{}")
	s.until("the running job has had its effect", func() bool { return len(s.ran()) == 1 })
	beat := s.put(simulator.Output{Topic: "HeartbeatProbe", Name: "heartbeat", Payload: payload()})
	s.answers(beat, 1)
	s.polls(3)
	s.none(fresh)
	if got := s.inst.Record("ecc_queue", fresh)["state"]; got != "ready" {
		t.Errorf("the new output is %s", got)
	}
	room()
	for _, id := range []string{running, fresh} {
		if r := s.report(id); r.result() != "succeeded" {
			t.Errorf("%s", r.row["payload"])
		}
	}
	s.until("status is well again", func() bool {
		st := a.Status(t.Context())
		return st.Instances[0].Blocked == "" && st.Disk.Error == "" && len(st.Problems) == 0
	})
	if ran := s.ran(); len(ran) != 2 {
		t.Errorf("ran %v", ran)
	}
}
