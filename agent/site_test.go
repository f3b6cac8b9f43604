package agent_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/simulator"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

const (
	me       = "mid.server.edge1" // the agent value that the agents of these tests serve
	password = "mid"              // of the simulator's user of that name
	patience = 30 * time.Second
)

// site is one agent with its state folder, and the instance that it serves.
type site struct {
	*testing.T
	inst   *simulator.Instance
	dir    string
	state  string
	toml   string // what follows the instance's section
	log    *lines
	tuning agent.Tuning
	level  slog.Level
	change func(*config.Config) // after the file was read, before the agent opens
	conf   *config.Config       // of the last start
	live   *agent.Agent
	quit   func() error
}

// newSite makes a site whose configuration ends with this text.
func newSite(t *testing.T, o simulator.Options, text string) *site {
	t.Helper()
	if o.Agents == nil {
		o.Agents = []string{"edge1"}
	}
	inst, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inst.Close)
	dir, err := os.MkdirTemp("", "sp") //nolint:usetesting // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := &site{
		T: t, inst: inst, dir: dir, state: filepath.Join(dir, "state"), toml: text, log: &lines{},
		tuning: agent.Tuning{
			Transport: inst.Transport(), Reverify: 50 * time.Millisecond, TwinEvery: 50 * time.Millisecond, LoginRetry: 50 * time.Millisecond,
		},
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.clean)
	return s
}

// clean stops the agent and ends what a test left to the runner.
func (s *site) clean() {
	if s.quit != nil {
		_ = s.quit()
	}
	c := runner.NewClient(runner.ClientOptions{Dir: filepath.Join(s.state, "runner"), Version: "test"})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), 5*time.Second)
	defer cancel()
	jobs, err := c.List(ctx)
	if err != nil {
		return // there is none
	}
	for _, j := range jobs {
		_ = c.Cancel(ctx, j.Job, 0)
		_, _ = c.Wait(ctx, j.Job)
	}
	for range 100 {
		if done, err := c.Shutdown(ctx); done || err != nil {
			return
		}
	}
	s.Error("the runner does not end")
}

func (s *site) config() *config.Config {
	s.Helper()
	text := fmt.Sprintf("name = 'edge1'\nstate_dir = '%s'\n[[instance]]\nname = 'prod'\nurl = 'http://127.0.0.1:1'\nusername = 'mid'\n"+
		"password = 'file:%s/password'\n[queue]\nreserve = '16MB'\n[delivery]\nsettle = '1s'\n[shutdown]\ngrace = '2s'\n%s", s.state, s.dir, s.toml)
	c, err := config.Parse("test.toml", []byte(text), config.Overrides{Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		s.Fatal(err)
	}
	c.Instances[0].Poll = 20 * time.Millisecond // the file's least is a second
	if s.change != nil {
		s.change(c)
	}
	return c
}

func (s *site) options() agent.Options {
	return agent.Options{
		Config: s.config(), Version: "test", Log: slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: s.level}),
		RunnerCommand: []string{os.Args[0], serveRunner}, Tuning: s.tuning,
	}
}

// start starts the agent and returns when it serves its control socket.
func (s *site) start() *agent.Agent {
	s.Helper()
	ready := make(chan struct{})
	o := s.options()
	s.conf = o.Config
	o.Ready = func() { close(ready) }
	a, err := agent.Open(s.Context(), o)
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		s.Fatalf("run: %v", errors.Join(err, a.Close()))
	}
	s.live = a
	s.quit = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, a.Close())
	})
	return a
}

// stop stops the agent in order.
func (s *site) stop() {
	s.Helper()
	if err := s.quit(); err != nil {
		s.Fatalf("stop: %v", err)
	}
}

// put puts an output for the agent into the queue and returns its sys_id.
func (s *site) put(o simulator.Output) string {
	if o.Agent == "" {
		o.Agent = me
	}
	return s.inst.PutOutput(o)
}

// command puts a Command.
func (s *site) command(text string, params ...string) string {
	return s.put(simulator.Output{Topic: "Command", Name: text, Payload: payload(params...)})
}

// native puts a call of an action with JSON parameters.
func (s *site) native(action, params string) string {
	return s.put(simulator.Output{Topic: "Sallyport", Name: action, Payload: payload("params", params)})
}

// payload writes a payload of name and value pairs, as the instance does.
func payload(pairs ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><parameters>`)
	for pair := range slices.Chunk(append(pairs, "skip_sensor", "true"), 2) {
		b.WriteString(`<parameter name="`)
		_ = xml.EscapeText(&b, []byte(pair[0]))
		b.WriteString(`" value="`)
		_ = xml.EscapeText(&b, []byte(pair[1]))
		b.WriteString(`"/>`)
	}
	b.WriteString("</parameters>")
	return b.String()
}

// within bounds a wait.
func (s *site) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.Context(), patience)
}

// answers returns the inputs that answer an output, once there are n of them.
func (s *site) answers(id string, n int) []simulator.Record {
	s.Helper()
	ctx, cancel := s.within()
	defer cancel()
	query := "queue=input^response_to=" + id
	if err := s.inst.Await(ctx, "ecc_queue", query, n); err != nil {
		s.Fatalf("%d answers to %s: %v\n%s", n, id, err, s.log.digest())
	}
	rows, err := s.inst.Query("ecc_queue", query+"^ORDERBYsys_created_on")
	if err != nil {
		s.Fatal(err)
	}
	return rows
}

// report is a result as the instance's sensors read it.
type report struct {
	row     simulator.Record
	XMLName xml.Name `xml:"results"`
	Error   string   `xml:"error,attr"`
	Code    string   `xml:"result_code,attr"`
	Time    string   `xml:"probe_time,attr"`
	Results []struct {
		Error    string `xml:"error,attr"`
		Command  string `xml:"command,attr"`
		ExitCode string `xml:"exit_code,attr"`
		File     string `xml:"attachment_sys_id,attr"`
		Stdout   string `xml:"stdout"`
		Stderr   string `xml:"stderr"`
		Output   string `xml:"output"`
	} `xml:"result"`
	Parameters struct {
		List []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:"value,attr"`
		} `xml:"parameter"`
	} `xml:"parameters"`
}

// param returns an echoed parameter.
func (r *report) param(name string) string {
	for _, p := range r.Parameters.List {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// result is what the report says of itself.
func (r *report) result() string { return r.param("sallyport_result") }

func read(t *testing.T, row simulator.Record) *report {
	t.Helper()
	r := &report{row: row}
	if err := xml.Unmarshal([]byte(row["payload"]), r); err != nil {
		t.Fatalf("the report cannot be read: %v\n%.2000s", err, row["payload"])
	}
	return r
}

// report waits for the one report of an output and reads it.
func (s *site) report(id string) *report {
	s.Helper()
	rows := s.answers(id, 1)
	if len(rows) != 1 {
		s.Fatalf("%d reports of %s", len(rows), id)
	}
	return read(s.T, rows[0])
}

// none asserts that an output has no answer.
func (s *site) none(id string) {
	s.Helper()
	if n, err := s.inst.Count("ecc_queue", "queue=input^response_to="+id); err != nil || n != 0 {
		s.Errorf("%d answers to %s, want none: %v", n, id, err)
	}
}

// until waits until something holds, and returns soon after.
func (s *site) until(what string, holds func() bool) {
	s.Helper()
	ctx, cancel := s.within()
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.Fatalf("not within %v: %s\n%s", patience, what, s.log.digest())
		}
	}
}

// state waits until the job of an output is in a state, and returns it.
func (s *site) is(id, want string) control.Job {
	s.Helper()
	var last control.Detail
	s.until("job "+id+" is "+want, func() bool {
		var err error
		last, err = s.live.Job(s.Context(), "prod/"+id)
		return err == nil && last.State == want
	})
	return last.Job
}

// polls waits until the agent has read its queue n times more.
func (s *site) polls(n uint64) {
	s.Helper()
	hits := func() uint64 { return s.inst.Hits(http.MethodGet, "/api/now/table/ecc_queue") }
	most := hits() + n
	s.until("the queue is read", func() bool { return hits() >= most })
}

// lines collects a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// digest returns the log with its time and repetitions left out.
func (l *lines) digest() string {
	var list []string
	for line := range strings.Lines(l.String()) {
		_, line, _ = strings.Cut(line, " ")
		if len(list) < 40 && !slices.Contains(list, line) {
			list = append(list, line)
		}
	}
	return strings.Join(list, "")
}

// jobs lists the agent's jobs.
func (s *site) jobs(a *agent.Agent) []control.Job {
	s.Helper()
	list, err := a.Jobs(s.Context(), control.Filter{})
	if err != nil {
		s.Fatal(err)
	}
	return list
}

// attach stores a file on a record, as a user of the instance would.
func (s *site) attach(sysID, name, text string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost,
		"http://instance/api/now/attachment/file?table_name=ecc_queue&table_sys_id="+sysID+"&file_name="+name, strings.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	req.SetBasicAuth("mid", password)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/xml")
	resp, err := s.inst.Transport().RoundTrip(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		s.Fatalf("attach: %s %s", resp.Status, text)
	}
}

// message is the error text of a report, wherever it stands.
func message(r *report) string {
	if r.Error != "" || len(r.Results) == 0 {
		return r.Error
	}
	return r.Results[0].Error
}
