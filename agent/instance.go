package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/agent/midserver"
	"github.com/sallyport-agent/sallyport/agent/secret"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/servicenow/eccqueue"
	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
	"github.com/sallyport-agent/sallyport/agent/servicenow/revocation"
)

// senders is the number of delivery requests in flight to one instance: it
// serves about four REST requests a node at once (semaphore set API_INT), and
// intake needs one of them.
const senders = 2

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
	twin string // a second agent of this name, as it shows itself
}

// MIDName returns the value of the column agent that an agent of this name
// serves, as a MID Server of that name would.
func MIDName(name string) string { return "mid.server." + name }

func (a *Agent) openInstance(c *config.Instance) (*instance, error) {
	in := &instance{conf: c, agent: MIDName(a.conf.Name), log: a.log.With(slog.String("instance", c.Name))}
	conf, err := a.clientConfig(c)
	if err != nil {
		return nil, err
	}
	if in.client, err = servicenow.New(conf); err != nil {
		return nil, fmt.Errorf("instance %s: %w", c.Name, err)
	}
	in.ecc = eccqueue.New(eccqueue.Config{
		Client: in.client, Agent: in.agent, Marker: a.marker, Claim: c.Claim, Log: in.log,
	})
	in.intake = intake.New(intake.Config{
		Instance: c.Name, Agent: in.agent, Remote: a.opts.Wrap.intake(in.ecc), Queue: a.queue, Router: a.router,
		Direct: midserver.NewHeartbeat(in.ecc, a.opts.Version), Log: in.log, Now: time.Now,
		Hold:     a.mode.holdIntake,
		Observed: in.stranger,
	})
	in.delivery = delivery.New(delivery.Config{
		Instance: c.Name, Remote: a.opts.Wrap.delivery(in.ecc), Queue: a.queue, Log: in.log, Now: time.Now,
		Settle: a.conf.Delivery.Settle, Longest: longest(a.conf.Delivery.Settle),
		Batch: a.conf.Delivery.Batch, MostInline: a.conf.Delivery.InlineMax,
	})
	return in, nil
}

// longest bounds one request of a delivery. It is the instance's own limit on a
// transaction, as settle is, but never so short that a slow one is cut.
func longest(settle time.Duration) time.Duration { return max(settle, 5*time.Second) }

// clientConfig turns the configuration of an instance into that of its client.
func (a *Agent) clientConfig(c *config.Instance) (servicenow.Config, error) {
	conf := servicenow.Config{
		URL: c.URL, UserAgent: "Sallyport/" + a.opts.Version, Log: a.log,
		Proxy: servicenow.Proxy{
			URL: c.Proxy.URL, User: c.Proxy.Username, Auth: proxyLogin(c.Proxy.Auth), NoProxy: c.Proxy.NoProxy,
			Password: a.secretFunc(c.Proxy.Password), Kerberos: proxyauth.Kerberos{},
		},
		TLS: servicenow.TLS{Revocation: revocation.Mode(c.TLS.Revocation)},
	}
	for _, file := range c.TLS.CAFiles {
		pem, err := os.ReadFile(file)
		if err != nil {
			return conf, fault.New(fault.Invalid, "read the authority", file, err).WithHint("correct tls.ca_files of instance " + c.Name)
		}
		conf.TLS.ExtraCA = append(append(conf.TLS.ExtraCA, pem...), '\n')
	}
	if c.MTLS.Cert != "" {
		conf.TLS.Certificate = func() (*tls.Certificate, error) { return a.clientCertificate(c.MTLS) }
	}
	if c.OAuth.ClientID == "" {
		if c.Username != "" {
			conf.Basic = &servicenow.Basic{Username: c.Username, Password: a.secretFunc(c.Password)}
		}
		return conf, nil
	}
	conf.OAuth = &servicenow.OAuth{ClientID: c.OAuth.ClientID, ClientSecret: a.secretFunc(c.OAuth.ClientSecret)}
	switch c.OAuth.Grant {
	case "password":
		conf.OAuth.Username, conf.OAuth.Password = c.Username, a.secretFunc(c.Password)
	case "refresh_token":
		conf.OAuth.RefreshToken = a.secretFunc(c.OAuth.RefreshToken)
	}
	return conf, nil
}

// proxyLogin turns the configuration's word for no login into the client's.
func proxyLogin(auth string) string {
	if auth == "none" {
		return ""
	}
	return auth
}

func (a *Agent) clientCertificate(c config.MTLS) (*tls.Certificate, error) {
	cert, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the client certificate", c.Cert, err).WithHint("correct mtls.cert")
	}
	key, err := a.resolver.Resolve(context.Background(), c.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, []byte(key.Reveal()))
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the client certificate", c.Cert, err).WithHint("check that mtls.cert and mtls.key belong together")
	}
	return &pair, nil
}

// secretFunc resolves a reference each time it is needed; nil for none.
func (a *Agent) secretFunc(ref secret.Ref) servicenow.SecretFunc {
	if ref.IsZero() {
		return nil
	}
	return func() (string, error) {
		v, err := a.resolver.Resolve(context.Background(), ref)
		return v.Reveal(), err
	}
}

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

// twinEvery is how often the claims of others under this name are looked for.
const twinEvery = time.Minute

// watchTwins looks for a second agent of this name until ctx ends.
func (in *instance) watchTwins(ctx context.Context) {
	since := time.Now()
	for sleep(ctx, twinEvery) == nil {
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
