package agent_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/demo"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// TestNothingListens runs the real program with a runner and a running command,
// and looks at every socket of these processes in /proc.
func TestNothingListens(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, "")
	bin := filepath.Join(s.dir, "sallyport")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/sallyport").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	srv := httptest.NewServer(s.inst)
	defer srv.Close()
	script, file := s.tree()
	conf := filepath.Join(s.dir, "sallyport.toml")
	text := "name = 'edge1'\nstate_dir = '" + s.state + "'\n[[instance]]\nname = 'prod'\nurl = '" + srv.URL + "'\nusername = 'mid'\npoll = '1s'\n" +
		"password = 'file:" + filepath.Join(s.dir, "password") + "'\n" + allow(script)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &demo.Process{Program: []string{bin, "run", "--config", conf}, Dir: s.dir}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.clean() // the command and its runner first
		if err := p.Stop(10 * time.Second); err != nil {
			t.Error(err)
		}
	}()
	s.command(script)
	job := s.pids(file)
	pids := append(named(t, s.dir), job...)
	if len(pids) < 4 {
		log, _ := os.ReadFile(filepath.Join(s.dir, "agent.log"))
		t.Fatalf("processes %v, want agent, runner and the two of the job\n%s", pids, log)
	}
	owner := map[string]int{} // by inode
	for _, pid := range pids {
		for _, inode := range socketsOf(t, pid) {
			owner[inode] = pid
		}
	}
	outward := 0
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "packet"} {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pids[0]) + "/net/" + kind)
		if os.IsNotExist(err) {
			continue // the kernel has no such sockets
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			at := 9 // the column of the inode
			if kind == "packet" {
				at = 8
			}
			if len(f) <= at || owner[f[at]] == 0 {
				continue
			}
			const listen = "0A"
			connected := len(f) > 3 && kind != "packet" && strings.Trim(f[2], "0:") != "" // a remote address
			if !connected || f[3] == listen {
				t.Errorf("process %d has a %s socket that anybody may send to: %s", owner[f[at]], kind, line)
			}
			outward++
		}
	}
	if outward == 0 {
		t.Error("not even the connection to the instance was seen: the test looks at the wrong place")
	}
}

// named returns the processes whose command line names a folder.
func named(t *testing.T, dir string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(data), dir+"/sallyport") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// socketsOf returns the inodes of a process's sockets.
func socketsOf(t *testing.T, pid int) (inodes []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		link, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + fd.Name())
		if inode, ok := strings.CutPrefix(link, "socket:["); err == nil && ok {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	return inodes
}
