package demo

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// BenchOptions are what a measurement is made of.
type BenchOptions struct {
	Program []string // as Options.Program
	Dir     string
	Jobs    int // no-op jobs for the throughput
	Single  int // single jobs for the latency, one after the other
}

// BenchResult is what was measured. The instance is in the measuring process,
// the agent in one of its own; both share the machine's processors.
type BenchResult struct {
	CPUs       int     `json:"cpus"`
	Jobs       int     `json:"jobs"`
	Seconds    float64 `json:"seconds"` // from the first poll that found work to the last report
	JobsPerSec float64 `json:"jobs_per_second"`
	Repeated   int     `json:"repeated"`
	Missing    int     `json:"missing"`

	Workers int `json:"workers"` // of the standard pool, and
	Batch   int `json:"batch"`   // reports in a request, as they were configured

	PollMillis int     `json:"poll_millis"`
	P50Millis  float64 `json:"latency_p50_millis"` // ready to reported, by polling alone
	P99Millis  float64 `json:"latency_p99_millis"`
	MaxMillis  float64 `json:"latency_max_millis"`

	StartMillis  float64 `json:"start_millis"`     // start of the process to its first poll
	StopMillis   float64 `json:"stop_millis"`      // of an idle agent
	DrainMillis  float64 `json:"drain_millis"`     // stop of a busy one; what is left is resumed
	Resumed      int     `json:"resumed"`          // jobs that the next start took to their end
	IdleResident int64   `json:"idle_resident_kb"` // resident memory after the work, 0 where unknown
	PeakResident int64   `json:"peak_resident_kb"` // 0 where unknown
	IdleCPU      float64 `json:"idle_cpu_share"`   // of a core, over some seconds; below zero where unknown
}

// A site with short jobs gives them more workers than a MID Server has, and more
// reports to a request than the default: the commits and requests that jobs
// share are what counts then.
const (
	workers = 128
	batch   = 100
)

// bench is one measurement under way.
type bench struct {
	BenchOptions
	inst  *simulator.Instance
	agent *Process

	mu       sync.Mutex
	reported map[string]time.Time
	claimed  time.Time
	arrived  chan struct{}
}

// Bench measures a whole agent against an instance in another process, with
// every durable step.
func Bench(ctx context.Context, o BenchOptions) (BenchResult, error) {
	b := &bench{BenchOptions: o, reported: map[string]time.Time{}, arrived: make(chan struct{}, 1)}
	var err error
	b.inst, err = simulator.New(simulator.Options{Agents: []string{AgentName}})
	if err != nil {
		return BenchResult{}, err
	}
	defer b.inst.Close()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return BenchResult{}, fault.New(fault.Unavailable, "listen on", "127.0.0.1", err).WithHint("the instance needs a free local port")
	}
	serveCtx, stop := context.WithCancel(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = b.inst.Serve(serveCtx, l) // it ends because it is told to
	}()
	defer func() {
		stop()
		<-served
	}()
	url := "http://" + l.Addr().String()
	site, err := NewSite(o.Dir, url, SiteOptions{Settle: "60s", Level: "warn", Pools: [3]int{10, 20, workers}, Batch: batch})
	if err != nil {
		return BenchResult{}, err
	}
	b.agent = &Process{Program: append(append([]string{}, o.Program...), site.Config), Dir: o.Dir, Env: []string{PasswordEnv + "=mid"}}
	r := BenchResult{CPUs: runtime.NumCPU(), Jobs: o.Jobs, Workers: workers, Batch: batch, PollMillis: 1000, IdleCPU: -1}
	return r, b.measure(ctx, &r)
}

// follow reads the instance's events until ctx ends.
func (b *bench) follow(ctx context.Context, events <-chan simulator.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if e.Table == "ecc_queue" && e.Op == simulator.Insert {
				b.inserted(e)
			}
		}
	}
}

// inserted notes a claim or a report.
func (b *bench) inserted(e simulator.Event) {
	r := b.inst.Record(e.Table, e.SysID)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r["topic"] == "queue.processing":
		if b.claimed.IsZero() {
			b.claimed = e.Time
		}
	case r["queue"] == "input" && r["response_to"] != "":
		b.reported[r["response_to"]] = e.Time
		select {
		case b.arrived <- struct{}{}:
		default:
		}
	}
}

// put puts no-op jobs into the queue.
func (b *bench) put(n int) {
	outs := make([]simulator.Output, n)
	for i := range outs {
		outs[i] = simulator.Output{
			Agent: "mid.server." + AgentName, Topic: "Sallyport", Name: "diag.echo",
			Payload: parameters("params", fmt.Sprintf(`{"text":"job %d"}`, i)),
		}
	}
	b.inst.PutOutputs(outs)
}

func (b *bench) measure(ctx context.Context, r *BenchResult) error {
	b.put(b.Jobs)
	events, cancel := b.inst.Subscribe(8*(2*b.Jobs+b.Single) + 1000)
	defer cancel()
	follow, stop := context.WithCancel(ctx)
	defer stop()
	go b.follow(follow, events)
	began := time.Now()
	if err := b.agent.Start(); err != nil {
		return err
	}
	defer b.agent.Kill()
	if err := b.until(ctx, b.Jobs); err != nil {
		return err
	}
	b.mu.Lock()
	first, last := b.claimed, time.Time{}
	for _, at := range b.reported {
		if at.After(last) {
			last = at
		}
	}
	b.mu.Unlock()
	r.StartMillis = float64(first.Sub(began).Microseconds()) / 1000
	r.Seconds = last.Sub(first).Seconds()
	r.JobsPerSec = float64(b.Jobs) / r.Seconds
	if err := b.latency(ctx, r); err != nil {
		return err
	}
	b.idle(ctx, r)
	stopping := time.Now()
	if err := b.agent.Stop(10 * time.Second); err != nil {
		return err
	}
	r.StopMillis = float64(time.Since(stopping).Microseconds()) / 1000
	if err := b.drain(ctx, r); err != nil {
		return err
	}
	jobs := b.inst.Jobs()
	r.Repeated, r.Missing = jobs.Repeated, 2*b.Jobs+b.Single-jobs.Answered
	return nil
}

// drain stops the agent in the midst of as much work again, and lets the next
// start finish it.
func (b *bench) drain(ctx context.Context, r *BenchResult) error {
	done := b.Jobs + b.Single
	b.put(b.Jobs)
	if err := b.agent.Start(); err != nil {
		return err
	}
	if err := b.until(ctx, done+max(1, b.Jobs/4)); err != nil {
		return err
	}
	stopping := time.Now()
	if err := b.agent.Stop(30 * time.Second); err != nil {
		return err
	}
	r.DrainMillis = float64(time.Since(stopping).Microseconds()) / 1000
	r.Resumed = done + b.Jobs - b.inst.Jobs().Answered
	if err := b.agent.Start(); err != nil {
		return err
	}
	if err := b.until(ctx, done+b.Jobs); err != nil {
		return err
	}
	return b.agent.Stop(10 * time.Second)
}

// until waits for a number of reported jobs.
func (b *bench) until(ctx context.Context, n int) error {
	const stalled = 60 * time.Second
	timer := time.NewTimer(stalled)
	defer timer.Stop()
	for {
		b.mu.Lock()
		have := len(b.reported)
		b.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-b.arrived:
			timer.Reset(stalled)
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fault.New(fault.Timeout, "measure", "the agent", fmt.Errorf("%d of %d jobs are reported, and nothing moves", have, n)).
				WithHint("the agent's log ends with:\n" + b.agent.LogTail(2000))
		}
	}
}

// latency puts single jobs and takes the time until their reports.
func (b *bench) latency(ctx context.Context, r *BenchResult) error {
	var took []float64
	for i := range b.Single {
		if err := pause(ctx, time.Duration(137*(i%7))*time.Millisecond); err != nil {
			return err
		}
		put := time.Now()
		id := b.inst.PutOutput(simulator.Output{
			Agent: "mid.server." + AgentName, Topic: "Sallyport", Name: "diag.echo", Priority: "0",
			Payload: parameters("params", `{"text":"single"}`),
		})
		if err := b.until(ctx, b.Jobs+i+1); err != nil {
			return err
		}
		b.mu.Lock()
		took = append(took, float64(b.reported[id].Sub(put).Microseconds())/1000)
		b.mu.Unlock()
	}
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	r.P50Millis, r.P99Millis, r.MaxMillis = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return nil
}

// idle looks at what the agent takes while it has nothing to do.
func (b *bench) idle(ctx context.Context, r *BenchResult) {
	const settle, window = 5 * time.Second, 10 * time.Second
	if pause(ctx, settle) != nil {
		return
	}
	before, ok := usage(b.agent.PID())
	if !ok || pause(ctx, window) != nil {
		return
	}
	after, ok := usage(b.agent.PID())
	if !ok {
		return
	}
	r.IdleResident, r.PeakResident = after.residentKB, after.peakKB
	r.IdleCPU = (after.cpu - before.cpu).Seconds() / window.Seconds()
}

// taken is what a process has taken so far.
type taken struct {
	residentKB, peakKB int64
	cpu                time.Duration
}
