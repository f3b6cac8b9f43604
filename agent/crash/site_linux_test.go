package crash_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/demo"
	"github.com/sallyport-agent/sallyport/agent/simulator"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

const (
	agentName = "edge1"
	me        = "mid.server." + agentName
	stranger  = "mid.server.other"
	settle    = time.Second // the least that the configuration takes
)

// site is one agent with its state folder, the instance that it serves, and
// everything that it was asked to do.
type site struct {
	*testing.T
	number  int
	rng     *rand.Rand
	inst    *simulator.Instance
	origin  string
	dir     string
	effects string
	script  string
	process *demo.Process

	jobs  []*job
	byID  map[string]*job
	kills []kill
	hits  map[string]int

	mu      sync.Mutex
	came    map[string]time.Time // when each report came
	answers map[string][]string  // the reports of each output
}

// kill is one SIGKILL.
type kill struct {
	at     time.Time
	runner bool
	point  string // "" is a random moment
}

// newSite makes a site with its own choices.
func newSite(t *testing.T, number int, seed uint64) *site {
	t.Helper()
	s := &site{
		T: t, number: number, rng: rand.New(rand.NewPCG(seed, uint64(number))),
		byID: map[string]*job{}, hits: map[string]int{}, came: map[string]time.Time{}, answers: map[string][]string{},
	}
	var err error
	s.inst, err = simulator.New(simulator.Options{Agents: []string{agentName}, Seed: seed + uint64(number), OnEvent: s.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.inst.Close)
	if s.dir, err = os.MkdirTemp("", "sp"); err != nil { //nolint:usetesting // t.TempDir's are too long for a socket
		t.Fatal(err)
	}
	s.serve()
	s.files()
	s.process = &demo.Process{Dir: s.dir, Env: []string{"CRASH_PASSWORD=mid"}}
	t.Cleanup(s.clean)
	return s
}

func (s *site) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.inst}}
	srv.Start()
	s.Cleanup(srv.Close)
	s.origin = srv.URL
}

// note remembers the reports as they come.
func (s *site) note(e simulator.Event) {
	if e.Table != "ecc_queue" || e.Op != simulator.Insert {
		return
	}
	output := s.inst.Record("ecc_queue", e.SysID)["response_to"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if output != "" {
		s.came[e.SysID] = e.Time
		s.answers[output] = append(s.answers[output], e.SysID)
	}
}

// reports are the sys_ids of the inputs that answer a job, in their order.
func (s *site) reports(j *job) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.answers[j.id])
}

// arrival is when a report came.
func (s *site) arrival(report string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came[report]
}

// files writes the configuration and the program that commands run.
func (s *site) files() {
	s.effects = filepath.Join(s.dir, "effects.log")
	s.script = filepath.Join(s.dir, "work.sh")
	// work.sh MARK LINES CODE SECONDS: an effect, much output, time to be killed
	// in, the rest of the output, and an exit code.
	s.write("work.sh", 0o700, "#!/bin/sh\nprintf '%s\\n' \"$1\" >> '"+s.effects+"'\nseq 1 \"$2\"\nsleep \"$4\"\n"+
		"seq 1 \"$2\" >&2\nprintf 'end of %s\\n' \"$1\"\nexit \"$3\"\n")
	s.write("sallyport.toml", 0o600, strings.NewReplacer("NAME", agentName, "DIR", s.dir, "URL", s.origin, "SETTLE", settle.String()).Replace(`
name = "NAME"
state_dir = "DIR/state"
[[instance]]
name = "sim"
url = "URL"
username = "mid"
password = "env:CRASH_PASSWORD"
poll = "1s"
[delivery]
settle = "SETTLE"
inline_max = "1MB"
[queue]
reserve = "16MB"
[shutdown]
grace = "4s"
[log]
level = "debug"
[control]
socket = "DIR/control.sock"
[[connector]]
use = "diag"
name = "diag"
[connector.settings]
file = "DIR/effects.log"
[[policy.rule]]
name = "harmless"
allow = ["diag.echo", "diag.wait", "diag.fail"]
[[policy.rule]]
name = "recording"
allow = ["diag.append"]
targets = ["diag"]
[[policy.rule]]
name = "after approval"
allow = ["diag.append"]
when = { seconds = "0.01" }
hold = true
[[policy.rule]]
name = "work"
allow = ["Command"]
names = ["DIR/work.sh *"]
`))
}

func (s *site) write(name string, mode os.FileMode, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), mode); err != nil {
		s.Fatal(err)
	}
}

func (s *site) config() string { return filepath.Join(s.dir, "sallyport.toml") }

// start starts the real program, or an agent that kills itself at a point.
func (s *site) start(point string, nth int) {
	s.Helper()
	s.process.Program = []string{program, "run", "--config", s.config()}
	s.process.Env = []string{"CRASH_PASSWORD=mid"}
	if point != "" {
		s.process.Program = []string{os.Args[0], serveAgent, s.config()}
		s.process.Env = append(s.process.Env, envPoint+"="+point, fmt.Sprintf("%s=%d", envNth, nth), envHits+"="+s.hitFile(), envProgram+"="+program)
	}
	if err := s.process.Start(); err != nil {
		s.Fatal(err)
	}
}

func (s *site) hitFile() string { return filepath.Join(s.dir, "hit") }

// dial connects to the agent, when it is there.
func (s *site) dial(ctx context.Context) (*control.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return control.Dial(ctx, filepath.Join(s.dir, "control.sock"))
}

// killRunner kills the runner, when there is one.
func (s *site) killRunner() {
	c := s.runner()
	defer c.Close()
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	info, err := c.Ping(ctx)
	if err != nil {
		return
	}
	p, err := os.FindProcess(info.PID)
	if err != nil || p.Kill() != nil {
		return
	}
	s.kills = append(s.kills, kill{at: time.Now(), runner: true})
}

func (s *site) runner() *runner.Client {
	return runner.NewClient(runner.ClientOptions{Dir: filepath.Join(s.dir, "state", "runner"), Version: "crash"})
}

// clean ends what a test left behind.
func (s *site) clean() {
	s.process.Kill()
	c := s.runner()
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 5*time.Second)
	defer cancel()
	list, err := c.List(ctx)
	for _, j := range list {
		_ = c.Cancel(ctx, j.Job, 0)
		_, _ = c.Wait(ctx, j.Job)
	}
	for done := err != nil; !done && ctx.Err() == nil; {
		if done, err = c.Shutdown(ctx); err != nil {
			break
		}
	}
	if s.Failed() {
		s.Logf("the folder of site %d is kept: %s", s.number, s.dir)
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.Error(err)
	}
}
