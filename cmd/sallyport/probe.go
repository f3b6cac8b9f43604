package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/secret"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/builtin"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// probed is how a target answered.
type probed struct {
	Target    string `json:"target"`
	Connector string `json:"connector"`
	OK        bool   `json:"ok"`
	Millis    int64  `json:"milliseconds"`
	Error     string `json:"error,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

func (a *app) connectorsProbeCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use: "probe [TARGET...]", Short: "Try whether configured targets answer; changes nothing",
		Long: "Open each configured target, or those that are named, and ask whether it answers.\nThe exit code is 8 when one does not.",
		Args: cobra.ArbitraryArgs,
	}
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "for each target")
	return leaf(a, c, func(ctx context.Context, args []string) ([]probed, error) {
		conf, err := a.config()
		if err != nil {
			return nil, err
		}
		return probeAll(ctx, conf, args, timeout)
	}, func(w io.Writer, list []probed) error {
		t := table{head: []string{"TARGET", "CONNECTOR", "RESULT", "TIME", "WHY"}}
		for _, p := range list {
			result, why := "ok", ""
			if !p.OK {
				result, why = "fail", p.Error
				if p.Hint != "" {
					why += "; " + p.Hint
				}
			}
			t.add(p.Target, p.Connector, result, fmt.Sprintf("%d ms", p.Millis), why)
		}
		return t.write(w)
	})
}

func probeAll(ctx context.Context, conf *config.Config, wanted []string, timeout time.Duration) ([]probed, error) {
	client := runner.NewClient(runner.ClientOptions{Dir: filepath.Join(conf.StateDir, "runner")})
	defer client.Close() //nolint:errcheck,contextcheck // only asked; closing goes on when the caller gave up
	registry, err := builtin.Registry(client)
	if err != nil {
		return nil, err
	}
	redactor := secret.NewRedactor()
	resolver := secret.NewResolver(redactor, nil)
	byName := map[string]config.Connector{}
	var order []string
	for _, con := range registry.Connectors() {
		if d := con.Describe(); d.Implicit {
			byName[d.Name] = config.Connector{Use: d.Name, Name: d.Name}
			order = append(order, d.Name)
		}
	}
	for _, t := range conf.Connectors {
		if _, known := byName[t.Name]; !known {
			order = append(order, t.Name)
		}
		byName[t.Name] = t
	}
	if len(wanted) > 0 {
		order = wanted
	}
	var list []probed
	failed := false
	for _, name := range order {
		t, ok := byName[name]
		if !ok {
			return nil, fault.New(fault.Conflict, "probe target", fmt.Sprintf("%q", clean(name)), nil).
				WithHint("name a target of the configuration; `sallyport config show` has them")
		}
		p := probed{Target: name, Connector: t.Use}
		began := time.Now()
		err := probe(ctx, registry, t, resolver, timeout)
		p.Millis, p.OK = time.Since(began).Milliseconds(), err == nil
		if err != nil {
			failed = true
			p.Error, p.Hint = redactor.Redact(err.Error()), redactor.Redact(fault.HintOf(err))
		}
		list = append(list, p)
	}
	if failed {
		return list, &grade{code: codeUnhealthy}
	}
	return list, nil
}

func probe(ctx context.Context, registry *connectors.Registry, t config.Connector, resolver *secret.Resolver, timeout time.Duration) error {
	con := registry.Connector(t.Use)
	if con == nil {
		return fault.New(fault.Invalid, "find connector", t.Use, nil).WithHint("run `sallyport config check`")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	session, err := con.Open(ctx, connectors.Settings{
		Target: t.Name,
		Decode: t.Settings.Decode,
		Secret: func(ctx context.Context, text string) (string, error) {
			ref, err := secret.ParseRef(text)
			if err != nil {
				return "", err
			}
			v, err := resolver.Resolve(ctx, ref)
			if err != nil {
				return "", err
			}
			return v.Reveal(), nil
		},
	})
	if err != nil {
		return err
	}
	defer session.Close() //nolint:errcheck // it was only asked
	return session.Probe(ctx)
}
