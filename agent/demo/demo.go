package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// Options are what a demo is made of.
type Options struct {
	// Program runs an agent: its arguments are followed by the configuration.
	Program []string
	Dir     string // a folder of its own
	Jobs    int    // how many jobs; they come over a few seconds
	Crash   bool   // kill the agent again and again meanwhile
	Stay    bool   // go on until ctx ends, with a new job now and then
	// Within bounds the whole demo when it does not stay.
	Within time.Duration
	// Show is told how things stand, several times a second. May be nil.
	Show func(View)
}

// View is how things stand.
type View struct {
	Page    string // address of the instance's page
	Count   Count
	Running []control.Running
	Waiting []control.Waiting
	Kills   int
	Agent   string // "running", "starting", "killed"
	Elapsed time.Duration
}

// Result is what came of a demo, counted on the instance's side.
type Result struct {
	Count
	Kills   int     `json:"kills"`
	Seconds float64 `json:"seconds"`
}

// demo is one demo under way.
type demo struct {
	Options
	inst  *simulator.Instance
	site  *Site
	agent *Process
	book  *Book
	page  string
	kills atomic.Int64
	began time.Time
}

// Run runs a demo to its end.
func Run(ctx context.Context, o Options) (Result, error) {
	d := &demo{Options: o, began: time.Now()}
	var err error
	if d.inst, err = simulator.New(simulator.Options{Agents: []string{AgentName}}); err != nil {
		return Result{}, err
	}
	defer d.inst.Close()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Result{}, fault.New(fault.Unavailable, "listen on", "127.0.0.1", err).WithHint("the demo's instance needs a free local port")
	}
	served := make(chan struct{})
	serveCtx, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(served)
		_ = d.inst.Serve(serveCtx, l) // it ends because it is told to
	}()
	defer func() {
		stopServing()
		<-served
	}()
	d.page = "http://" + l.Addr().String() + "/"
	if d.site, err = NewSite(o.Dir, "http://"+l.Addr().String(), SiteOptions{}); err != nil {
		return Result{}, fault.New(fault.Unavailable, "prepare", o.Dir, err).WithHint("check the temporary folder")
	}
	d.book = NewBook(d.inst, d.site)
	d.agent = &Process{
		Program: append(append([]string{}, o.Program...), d.site.Config), Dir: o.Dir, Env: []string{PasswordEnv + "=mid"},
	}
	if err := d.agent.Start(); err != nil {
		return Result{}, err
	}
	defer func() { _ = d.agent.Stop(10 * time.Second) }() // it was counted already; Stop kills it otherwise
	return d.play(ctx)
}

// play puts the work in, disturbs the agent, and waits for the end.
func (d *demo) play(ctx context.Context) (Result, error) {
	if d.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.Within, fmt.Errorf("not done within %v", d.Within))
		defer cancel()
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		d.feed(work)
	}()
	crashed := make(chan struct{})
	go func() {
		defer close(crashed)
		d.crash(work, fed)
	}()
	go d.approve(work)
	err := d.watch(ctx, fed, crashed)
	stop()
	<-fed
	<-crashed
	r := d.result()
	if err != nil && (r.Open() > 0 || !errors.Is(err, context.Canceled)) {
		return r, fault.New(fault.Unavailable, "finish", "the demo", err).WithHint("the agent's log ends with:\n" + d.agent.LogTail(2000))
	}
	return r, nil
}

// feed puts the jobs into the queue over a few seconds.
func (d *demo) feed(ctx context.Context) {
	const portions = 40
	for n := 0; n < d.Jobs; {
		portion := max(1, d.Jobs/portions)
		for range min(portion, d.Jobs-n) {
			d.book.Put(d.site.Output(n))
			n++
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
	for n := d.Jobs; d.Stay; n++ {
		if pause(ctx, 2*time.Second) != nil {
			return
		}
		d.book.Put(d.site.Output(n))
	}
}

// crash kills the agent again and again while there is work.
func (d *demo) crash(ctx context.Context, fed <-chan struct{}) {
	if !d.Crash {
		return
	}
	for {
		wait := 300*time.Millisecond + time.Duration(rand.Int64N(int64(900*time.Millisecond))) //nolint:gosec // any moment will do
		if pause(ctx, wait) != nil {
			return
		}
		select {
		case <-fed:
			if d.book.Count().Open() == 0 || d.kills.Load() >= 200 {
				return
			}
		default:
		}
		d.agent.Kill()
		d.kills.Add(1)
		if d.agent.Start() != nil {
			return
		}
		// Give it every second time long enough to get somewhere.
		if d.kills.Load()%2 == 0 && pause(ctx, 1500*time.Millisecond) != nil {
			return
		}
	}
}

// approve lets held jobs start after a moment, as a person would.
func (d *demo) approve(ctx context.Context) {
	for pause(ctx, 1500*time.Millisecond) == nil {
		c, err := d.dial(ctx)
		if err != nil {
			continue // the agent is starting
		}
		s, err := c.Status(ctx)
		if err != nil {
			s.Waiting = nil // it was killed meanwhile
		}
		for _, w := range s.Waiting {
			if w.State == "held" {
				_ = c.Approve(ctx, w.ID) // tried again in a moment
			}
		}
		c.Close()
	}
}

func (d *demo) dial(ctx context.Context) (*control.Client, error) {
	conf, err := config.Load(d.site.Config, config.Overrides{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return control.Dial(ctx, conf.Control.Socket)
}

// watch shows how things stand until all jobs are answered.
func (d *demo) watch(ctx context.Context, fed, crashed <-chan struct{}) error {
	for {
		count := d.book.Count()
		d.show(ctx, count)
		select {
		case <-fed:
			if count.Open() == 0 && !d.Stay {
				if d.Crash {
					<-crashed
				}
				// Long enough for a report that would come twice.
				return pause(ctx, 200*time.Millisecond)
			}
		default:
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(150 * time.Millisecond):
		}
	}
}

func (d *demo) show(ctx context.Context, count Count) {
	if d.Show == nil {
		return
	}
	v := View{Page: d.page, Count: count, Kills: int(d.kills.Load()), Agent: "starting", Elapsed: time.Since(d.began)}
	if c, err := d.dial(ctx); err == nil {
		if s, err := c.Status(ctx); err == nil {
			v.Agent, v.Running, v.Waiting = "running", s.Running, s.Waiting
		}
		c.Close()
	}
	d.Show(v)
}

func (d *demo) result() Result {
	return Result{Count: d.book.Count(), Kills: int(d.kills.Load()), Seconds: time.Since(d.began).Seconds()}
}

// TempDir makes a folder for a demo with a path that is short enough for a
// socket.
func TempDir() (string, error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return "", fault.New(fault.Unavailable, "make", "a temporary folder", err).WithHint("check TMPDIR")
	}
	return dir, nil
}
