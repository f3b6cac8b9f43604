package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/DeRuina/timberjack"
	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// runCommand runs the agent in the foreground, and as a service.
func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Run the agent",
		Long: "Run the agent until it is interrupted. The first signal stops it in order: running\n" +
			"jobs get their grace period, reports leave, the rest is resumed at the next start.\n" +
			"A second signal ends it at once, which is safe at any moment.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := a.config()
			if err != nil {
				return err
			}
			return a.runAgent(c.Context(), conf)
		},
	}
}

func (a *app) runAgent(ctx context.Context, conf *config.Config) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return fault.New(fault.Internal, "find", "this program", err).WithHint("start it by its whole path")
	}
	handler, closeLog := logHandler(conf.Log, a.err)
	defer func() { err = errors.Join(err, closeLog()) }()
	ag, err := agent.Open(ctx, agent.Options{
		Config: conf, Version: thisBuild().Version, Log: handler,
		RunnerCommand: []string{exe, "runner", "--forked", "--dir"},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ag.Close()) }() //nolint:contextcheck // closing goes on when the caller gave up
	// A closed terminal is no reason to stop.
	signal.Ignore(syscall.SIGHUP)
	return ag.Run(ctx)
}

// logHandler writes the log where and as the configuration says.
func logHandler(c config.Log, stderr io.Writer) (slog.Handler, func() error) {
	w, closeLog := stderr, func() error { return nil }
	if c.File != "" {
		const megabytes, files = 20, 5
		f := &timberjack.Logger{Filename: c.File, MaxSize: megabytes, MaxBackups: files, Compression: "gzip"}
		w, closeLog = f, f.Close
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the configuration is checked; this is for one made by hand
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.NewJSONHandler(w, o), closeLog
	}
	return slog.NewTextHandler(w, o), closeLog
}
