package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/doctor"
	"github.com/sallyport-agent/sallyport/agent/secret"
)

func (a *app) doctorCommand() *cobra.Command {
	var noWrite bool
	c := &cobra.Command{
		Use: "doctor", Short: "Find out why the agent cannot work, from the network up",
		Long: "Check this machine and every configured instance: network, login, rights, and how work\n" +
			"can be claimed. Each check says why, and what to do.\n\n" +
			"Rights are tried on records of topic Sallyport that no agent and no sensor acts upon\n" +
			"and that are deleted again; --no-write leaves them out. The exit code is 8 when a\n" +
			"check fails; a warning does not count.",
	}
	c.Flags().BoolVar(&noWrite, "no-write", false, "write nothing to the instance")
	return leaf(a, c, func(ctx context.Context, _ []string) (doctor.Report, error) {
		conf, err := a.config()
		if err != nil {
			return doctor.Report{}, err
		}
		r := a.examine(ctx, conf, noWrite)
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if r.Fail > 0 {
			return r, &grade{code: codeUnhealthy}
		}
		return r, nil
	}, func(w io.Writer, r doctor.Report) error {
		_, err := fmt.Fprintf(w, "\n%d ok, %d warnings, %d failed, %d skipped\n", r.OK, r.Warn, r.Fail, r.Skip)
		return err
	})
}

// examine makes all checks. In text, each finding is shown as it is found.
func (a *app) examine(ctx context.Context, conf *config.Config, noWrite bool) doctor.Report {
	redactor := secret.NewRedactor()
	secrets := secret.NewResolver(redactor, nil)
	status := func(ctx context.Context) (control.Status, error) { return a.status(ctx) }
	_, err := status(ctx)
	running := err == nil
	checks := doctor.LocalChecks(doctor.Local{StateDir: conf.StateDir, Reserve: conf.Queue.Reserve, Status: status})
	for i := range conf.Instances {
		in := &conf.Instances[i]
		client, err := doctor.Client(in, thisBuild().Version, secrets, slog.New(slog.DiscardHandler)) //nolint:contextcheck // secrets are read when they are needed, without a context
		if err != nil {
			checks = append(checks, doctor.Broken(in.Name, err))
			continue
		}
		defer client.Close()
		checks = append(checks, doctor.InstanceChecks(client, doctor.Options{
			Name: in.Name, Agent: agent.MIDName(conf.Name), Mode: in.Mode, Claim: in.Claim,
			Basic: in.OAuth.ClientID == "" && in.Username != "", NoWrite: noWrite, Running: running, Now: a.now,
		})...)
	}
	return doctor.Run(ctx, checks, redactor.Redact, a.showFinding)
}

func (a *app) showFinding(f doctor.Finding) {
	if a.output == formJSON {
		return
	}
	color := map[doctor.Result]string{doctor.OK: green, doctor.Warn: yellow, doctor.Fail: red}[f.Result]
	result := fmt.Sprintf("%-4s", f.Result)
	if color != "" {
		result = a.paint(a.out, color, result)
	}
	name := f.Check
	if f.Subject != "" {
		name = f.Subject + " " + name
	}
	text := fmt.Sprintf("%s  %-22s %s\n", result, clean(name), clean(f.Why))
	if f.Remedy != "" {
		text += fmt.Sprintf("      %-22s remedy: %s\n", "", clean(f.Remedy))
	}
	_, _ = io.WriteString(a.out, text) // where nothing can be shown, the summary fails to be written too
}
