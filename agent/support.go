package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/agent/midserver"
	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/agent/secret"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// Wrap stands between the stages and what they use. Nil functions stand aside.
type Wrap struct {
	Queue    func(queue.Queue) queue.Queue
	Intake   func(intake.Instance) intake.Instance
	Delivery func(delivery.Instance) delivery.Instance
}

func (w Wrap) queue(q queue.Queue) queue.Queue {
	if w.Queue == nil {
		return q
	}
	return w.Queue(q)
}

func (w Wrap) intake(i intake.Instance) intake.Instance {
	if w.Intake == nil {
		return i
	}
	return w.Intake(i)
}

func (w Wrap) delivery(i delivery.Instance) delivery.Instance {
	if w.Delivery == nil {
		return i
	}
	return w.Delivery(i)
}

// OwnTopics returns the topics that the agent answers itself, without a
// connector and without a rule.
func OwnTopics() []string { return []string{midserver.TopicHeartbeat} }

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// jitter spreads retries. It protects nothing.
func jitter() float64 { return rand.Float64() } //nolint:gosec // no secret depends on it

// scope returns what takes the secrets of one message out of texts and bodies.
func scope(secrets []string) (redact func(string) string, reader func(io.Reader) io.Reader) {
	r := secret.NewRedactor()
	for _, s := range secrets {
		r.Add(s)
	}
	return r.Redact, r.NewReader
}

// resolveText resolves a reference for a connector's settings.
func (a *Agent) resolveText(ctx context.Context, reference string) (string, error) {
	ref, err := secret.ParseRef(reference)
	if err != nil {
		return "", err
	}
	v, err := a.resolver.Resolve(ctx, ref)
	return v.Reveal(), err
}

// credential resolves a credential for a host that it is meant for.
func (a *Agent) credential(ctx context.Context, name, host string) (connectors.Credential, error) {
	i := slices.IndexFunc(a.conf.Credentials, func(c config.Credential) bool { return c.Name == name })
	if i < 0 {
		return connectors.Credential{}, fault.New(fault.Denied, "use credential", name, errors.New("no credential of that name is configured")).
			WithHint("add a [[credential]] section")
	}
	c := a.conf.Credentials[i]
	hosts, err := policy.ParseHosts(c.Hosts)
	if err != nil {
		return connectors.Credential{}, err
	}
	if !hosts.Match(host) {
		return connectors.Credential{}, fault.New(fault.Denied, "use credential", name+" towards "+host, errors.New("it is not meant for that host")).
			WithHint("add the host to the credential's hosts, if it may be used there")
	}
	cred := connectors.Credential{User: c.Username}
	for _, part := range []struct {
		ref  secret.Ref
		into *string
	}{{c.Password, &cred.Password}, {c.PrivateKey, &cred.PrivateKey}, {c.Passphrase, &cred.Passphrase}} {
		if part.ref.IsZero() {
			continue
		}
		v, err := a.resolver.Resolve(ctx, part.ref)
		if err != nil {
			return connectors.Credential{}, err
		}
		*part.into = v.Reveal()
	}
	return cred, nil
}

// tidy forgets what was delivered long ago, at the start and once a day.
func (a *Agent) tidy(ctx context.Context) {
	for {
		before := time.Now().AddDate(0, 0, -a.conf.Queue.KeepDays)
		n, err := a.queue.Forget(ctx, before)
		switch {
		case err != nil && ctx.Err() == nil:
			a.log.WarnContext(ctx, "old jobs not forgotten", slog.Any("err", err))
		case n > 0:
			a.log.InfoContext(ctx, "old jobs forgotten", slog.Int("jobs", n))
		}
		if sleep(ctx, 24*time.Hour) != nil {
			return
		}
	}
}
