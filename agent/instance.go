package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/agent/midserver"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/servicenow/eccqueue"
	"github.com/sallyport-agent/sallyport/agent/servicenow/fromconfig"
)

// instance is the link to one instance.
type instance struct {
	conf     *config.Instance
	agent    string
	client   *servicenow.Client
	ecc      *eccqueue.Queue
	intake   *intake.Intake
	delivery *delivery.Delivery
	log      *slog.Logger

	mu   sync.Mutex
	twin string           // a second agent of this name, as it shows itself
	user *servicenow.User // the agent's own user, once it could be read
}

// MIDName returns the value of the column agent that an agent of this name
// serves, as a MID Server of that name would.
func MIDName(name string) string { return "mid.server." + name }

func (a *Agent) openInstance(c *config.Instance) (*instance, error) {
	in := &instance{conf: c, agent: MIDName(a.conf.Name), log: a.log.With(slog.String("instance", c.Name))}
	conf, err := fromconfig.Client(c, a.opts.Version, a.resolver, a.log)
	if err != nil {
		return nil, err
	}
	conf.Transport = a.opts.Tuning.Transport
	if in.client, err = servicenow.New(conf); err != nil {
		return nil, fmt.Errorf("instance %s: %w", c.Name, err)
	}
	in.ecc = eccqueue.New(eccqueue.Config{
		Client: in.client, Agent: in.agent, Marker: a.marker, Claim: c.Claim, Log: in.log,
	})
	in.intake = intake.New(intake.Config{
		Instance: c.Name, Agent: in.agent, Remote: a.opts.Wrap.intake(in.ecc), Queue: a.queue, Router: a.router,
		Direct: midserver.NewHeartbeat(in.ecc, a.opts.Version), Log: in.log, Now: a.opts.Tuning.Now,
		Hold:     a.mode.holdIntake,
		Verified: a.dispatch.Wake,
		Observed: in.stranger,
		Reverify: a.opts.Tuning.Reverify,
	})
	in.delivery = delivery.New(delivery.Config{
		Instance: c.Name, Remote: a.opts.Wrap.delivery(in.ecc), Queue: a.queue, Log: in.log, Now: a.opts.Tuning.Now,
		Settle: a.conf.Delivery.Settle, Longest: longest(a.conf.Delivery.Settle),
		Batch: a.conf.Delivery.Batch, MostInline: a.conf.Delivery.InlineMax,
	})
	return in, nil
}

// longest bounds one request of a delivery. It is the instance's own limit on a
// transaction, as settle is, but never so short that a slow one is cut.
func longest(settle time.Duration) time.Duration { return max(settle, 5*time.Second) }

func (in *instance) timing() intake.Timing { return intake.Timing{Poll: in.conf.Poll} }

// stranger notes a record in processing that this agent did not claim.
func (in *instance) stranger(m ecc.Message) {
	in.log.Warn("another agent of this name is at work", slog.String("record", m.SysID))
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.twin == "" {
		in.twin = "claimed " + m.SysID
	}
}

// watchTwins looks for a second agent of this name until ctx ends.
func (in *instance) watchTwins(ctx context.Context, every time.Duration) {
	since := time.Now()
	for sleep(ctx, every) == nil {
		twins, err := in.ecc.Twins(ctx, since)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
				in.log.DebugContext(ctx, "cannot look for agents of this name", slog.Any("err", err))
			}
			continue
		}
		text := ""
		if len(twins) > 0 {
			text = fmt.Sprintf("%q claimed work at %s", twins[0].Marker, twins[0].At.Format(time.RFC3339))
			in.log.WarnContext(ctx, "another agent of this name is at work", slog.String("marker", twins[0].Marker))
		}
		in.mu.Lock()
		in.twin = text
		in.mu.Unlock()
		since = time.Now().Add(-10 * time.Minute)
	}
}

func (in *instance) twinText() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.twin
}

// unreported counts the outcomes that wait for their report, by instance.
func (a *Agent) unreported(ctx context.Context) map[string]int {
	jobs, err := a.queue.Undelivered(ctx, mostCounted)
	if err != nil {
		return nil
	}
	counts := map[string]int{}
	for _, j := range jobs {
		counts[j.Instance]++
	}
	return counts
}

// mostCounted bounds how many records a status reads.
const mostCounted = 10_000
