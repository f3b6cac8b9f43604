package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/dispatch"
	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/agent/secret"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/runner"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/bolt"
)

// Options are what an Agent is made of.
type Options struct {
	Config  *config.Config
	Version string
	// Log takes the log; it is redacted before it gets there.
	Log slog.Handler
	// RunnerCommand is the program and arguments that serve as a forked runner
	// for the folder that is appended to them.
	RunnerCommand []string
	// Ready, when set, is called once the agent serves its control socket and
	// reads its instances.
	Ready func()
	// Wrap, when set, stands between the stages and what they use, for tests
	// that end the process at a point.
	Wrap Wrap
	// Tuning replaces what only tests replace.
	Tuning Tuning
}

// Agent is one agent. Open makes it, Run works until it is stopped.
type Agent struct {
	opts     Options
	conf     *config.Config
	log      *slog.Logger
	started  time.Time
	redactor *secret.Redactor
	resolver *secret.Resolver

	store     *bolt.Store
	queue     queue.Queue
	runner    *runner.Client
	runnerErr error
	registry  *connectors.Registry
	policy    *policy.Policy
	judge     *judge
	targets   *targets
	router    *router
	dispatch  *dispatch.Dispatcher
	instances []*instance
	mode      *mode
	marker    string
}

// Open opens everything that the configuration names. Nothing runs yet. On an
// error nothing stays open.
func Open(ctx context.Context, o Options) (a *Agent, err error) {
	o.Tuning.setDefaults()
	a = &Agent{opts: o, conf: o.Config, started: time.Now(), redactor: secret.NewRedactor()}
	a.log = slog.New(a.redactor.Handler(o.Log))
	a.resolver = secret.NewResolver(a.redactor, nil)
	defer func() { //nolint:contextcheck // closing goes on when the caller gave up
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if err := a.openState(ctx); err != nil {
		return a, err
	}
	if err := a.openWork(ctx); err != nil {
		return a, err
	}
	for i := range a.conf.Instances {
		in, err := a.openInstance(&a.conf.Instances[i]) //nolint:contextcheck // secrets are resolved long after Open has returned
		if err != nil {
			return a, err
		}
		a.instances = append(a.instances, in)
	}
	return a, nil
}

// openState opens what is durable.
func (a *Agent) openState(ctx context.Context) (err error) {
	dir := a.conf.StateDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stateError("make", dir, err)
	}
	if a.marker, err = installation(dir); err != nil {
		return err
	}
	key, err := stateKey(dir)
	if err != nil {
		return err
	}
	if a.mode, err = openMode(dir); err != nil {
		return err
	}
	a.store, err = bolt.Open(ctx, bolt.Options{
		Dir: filepath.Join(dir, "queue"), Key: key, Log: a.log,
		KeepOutcomes: a.conf.Queue.KeepOutcomes, FreeReserve: a.conf.Queue.Reserve, MaxBytes: a.conf.Queue.MaxBytes,
	})
	if err != nil {
		return err
	}
	a.queue = a.opts.Wrap.queue(a.store)
	return nil
}

// openWork opens what runs jobs.
func (a *Agent) openWork(ctx context.Context) (err error) {
	a.openRunner(ctx)
	if a.registry, err = a.opts.Tuning.Registry(a.runner); err != nil {
		return err
	}
	if err := a.conf.Check(a.registry, OwnTopics()...); err != nil {
		return err
	}
	if a.policy, err = policy.Compile(a.conf.Policy.Rules, a.registry, policy.Options{Own: OwnTopics()}); err != nil {
		return err
	}
	a.judge = &judge{policy: a.policy, now: a.opts.Tuning.Now}
	a.targets = newTargets(a.registry, a.configured())
	a.targets.credential = a.credential
	a.router = &router{registry: a.registry, targets: a.targets, judge: a.judge}
	a.dispatch, err = dispatch.New(dispatch.Config{
		Queue: a.queue, Registry: a.registry, Targets: a.targets, Judge: a.judge, Log: a.log,
		Now: a.opts.Tuning.Now, Sleep: sleep, Jitter: jitter,
		Pools: queue.PoolCounts{
			queue.Interactive: a.conf.Pools.Interactive, queue.Expedited: a.conf.Pools.Expedited, queue.Standard: a.conf.Pools.Standard,
		},
		Fresh: a.fresh, Redact: a.redactor.Redact, RedactReader: a.redactor.NewReader, Scope: scope, Finished: a.finished,
	})
	return err
}

// openRunner connects to the runner, and starts one where none is installed. An
// agent without a runner still reports, takes work and says what is wrong.
func (a *Agent) openRunner(ctx context.Context) {
	dir := filepath.Join(a.conf.StateDir, "runner")
	o := runner.ClientOptions{Dir: dir, Version: a.opts.Version, Output: a.conf.Runner.OutputMax, Grace: a.conf.Runner.Grace}
	if a.conf.Runner.Mode != "installed" {
		o.Fork = &runner.ForkOptions{Dir: dir, Command: append(append([]string{}, a.opts.RunnerCommand...), dir)}
	}
	a.runner = runner.NewClient(o)
	if o.Fork == nil {
		_, a.runnerErr = a.runner.Ping(ctx)
	} else {
		_, a.runnerErr = runner.Ensure(ctx, *o.Fork)
	}
	if a.runnerErr != nil {
		a.log.ErrorContext(ctx, "no runner", slog.Any("err", a.runnerErr))
	}
}

// configured returns the targets of the configuration.
func (a *Agent) configured() []*target {
	var list []*target
	for _, c := range a.conf.Connectors {
		list = append(list, &target{use: c.Use, name: c.Name, settings: connectors.Settings{
			Target: c.Name, Decode: c.Settings.Decode, Secret: a.resolveText,
		}})
	}
	return list
}

// fresh reports whether unstarted jobs of an instance may be started.
func (a *Agent) fresh(name string) bool {
	if !a.mode.starts() {
		return false
	}
	for _, in := range a.instances {
		if in.conf.Name == name {
			return in.intake.Fresh()
		}
	}
	return false // an instance that is no longer configured
}

// finished logs what a person may want to know, and lets the report of a job
// leave at once.
func (a *Agent) finished(j queue.Job) {
	level := slog.LevelInfo
	if j.Status.Result == queue.Succeeded {
		level = slog.LevelDebug
	}
	if ctx := context.Background(); a.log.Enabled(ctx, level) {
		a.log.Log(ctx, level, "job finished", slog.String("job", string(j.ID)), slog.String("action", j.Action),
			slog.String("name", j.Name), slog.String("result", j.Status.Result.String()), slog.String("why", j.Status.Why))
	}
	for _, in := range a.instances {
		if in.conf.Name == j.Instance {
			in.delivery.Wake()
		}
	}
}

// Run works until ctx ends, and then stops in order: see the package's
// documentation. It returns nil after a stop.
func (a *Agent) Run(ctx context.Context) error {
	a.log.InfoContext(ctx, "started", slog.String("name", a.conf.Name), slog.String("version", a.opts.Version))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs, endJobs := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endJobs(nil)
	deliver, endDelivery := context.WithCancel(context.WithoutCancel(ctx))
	defer endDelivery()
	posts, cutPosts := context.WithCancel(context.WithoutCancel(ctx))
	defer cutPosts()
	serve, endServe := context.WithCancel(context.WithoutCancel(ctx))
	defer endServe()

	var intakes, deliveries, servers sync.WaitGroup
	fail := make(chan error, 2)
	servers.Go(func() {
		err := control.Serve(serve, control.Options{
			Path: a.conf.Control.Socket, Group: a.conf.Control.Group, Agent: a, Version: a.opts.Version,
			Redact: a.redactor.Redact, Log: a.log, Ready: a.opts.Ready,
		})
		if err != nil && serve.Err() == nil {
			fail <- err
		}
	})
	dispatched := make(chan error, 1)
	go func() { dispatched <- a.dispatch.Run(ctx, jobs) }()
	for _, in := range a.instances {
		intakes.Go(func() { in.intake.Run(ctx, in.timing()) })
		intakes.Go(func() { in.watchTwins(ctx, a.opts.Tuning.TwinEvery) })
		intakes.Go(func() { in.watchLogin(ctx, a.opts.Tuning.LoginRetry) })
		deliveries.Go(func() { in.delivery.Run(deliver, posts) })
	}
	intakes.Go(func() { a.tidy(ctx) })
	intakes.Go(func() { a.watchMemory(ctx) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-fail:
	case err = <-dispatched:
		dispatched <- err
	}
	cancel()
	a.stop(ctx, endJobs, dispatched, endDelivery, cutPosts, &intakes, &deliveries)
	endServe()
	servers.Wait()
	return err
}

// stop ends the stages in the order that loses nothing.
func (a *Agent) stop(ctx context.Context, endJobs context.CancelCauseFunc, dispatched <-chan error, endDelivery, cutPosts func(), intakes, deliveries *sync.WaitGroup) {
	ctx = context.WithoutCancel(ctx)
	a.mode.stopping()
	began := time.Now()
	grace := a.conf.Shutdown.Grace
	a.log.InfoContext(ctx, "stopping", slog.Duration("grace", grace), slog.Int("running", len(a.dispatch.Running())))
	// Half of the time for the jobs, the rest for what they leave to report.
	timer := time.NewTimer(grace / 2)
	defer timer.Stop()
	select {
	case err := <-dispatched:
		a.ended(ctx, err)
	case <-timer.C:
		endJobs(connectors.ErrStopping)
		select {
		case err := <-dispatched:
			a.ended(ctx, err)
		case <-time.After(max(time.Second, grace/4)):
			a.log.WarnContext(ctx, "jobs that do not stop are left to the next start")
		}
	}
	intakes.Wait()
	endDelivery()
	deadline, cancel := context.WithDeadline(ctx, began.Add(max(grace, time.Second)))
	defer cancel()
	defer context.AfterFunc(deadline, cutPosts)()
	deliveries.Wait()
	for _, in := range a.instances {
		if left := in.delivery.Drain(deadline); left != 0 {
			a.log.InfoContext(ctx, "reports wait for the next start", slog.String("instance", in.conf.Name), slog.Int("reports", left))
		}
	}
}

// ended logs what kept dispatch from working, if anything did.
func (a *Agent) ended(ctx context.Context, err error) {
	if err != nil {
		a.log.ErrorContext(ctx, "dispatch ended", slog.Any("err", err))
	}
}

// Close frees everything. It is called after Run has returned.
func (a *Agent) Close() error { return a.close() }

func (a *Agent) close() error {
	var errs []error
	if a.targets != nil {
		errs = append(errs, a.targets.close())
	}
	if a.runner != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		// A forked runner ends when nothing runs in it; another one refuses.
		if _, err := a.runner.Shutdown(ctx); err != nil {
			a.log.DebugContext(ctx, "runner goes on", slog.Any("err", err))
		}
		cancel()
		errs = append(errs, a.runner.Close())
	}
	for _, in := range a.instances {
		in.client.Close()
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the queue: %w", err))
		}
	}
	return errors.Join(errs...)
}
