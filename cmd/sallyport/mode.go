package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/control"
)

// done is what a command that changes something answers.
type done struct {
	Done   string `json:"done"` // "canceled", "paused", ...
	Job    string `json:"job,omitempty"`
	NewJob string `json:"new_job,omitempty"` // the run that a retry made
}

func (a *app) showDone(w io.Writer, d done) error {
	line := d.Done
	if d.Job != "" {
		line += " " + clean(d.Job)
	}
	if d.NewJob != "" && d.NewJob != d.Job {
		line += " as " + clean(d.NewJob)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// change makes a command that changes something in the running agent.
func (a *app) change(c *cobra.Command, f func(ctx context.Context, c *control.Client, args []string) (done, error)) *cobra.Command {
	return leaf(a, c, func(ctx context.Context, args []string) (done, error) {
		client, err := a.dial(ctx)
		if err != nil {
			return done{}, err
		}
		defer client.Close()
		return f(ctx, client, args)
	}, a.showDone)
}

func (a *app) pauseCommand() *cobra.Command {
	var note string
	c := &cobra.Command{Use: "pause", Short: "Take no work and start none, until resume; outlives a restart"}
	c.Flags().StringVar(&note, "note", "", "`TEXT` that says why; status shows it")
	return a.change(c, func(ctx context.Context, c *control.Client, _ []string) (done, error) {
		return done{Done: "paused"}, c.Pause(ctx, note)
	})
}

func (a *app) drainCommand() *cobra.Command {
	var note string
	c := &cobra.Command{Use: "drain", Short: "Take no more work and finish what is here, until resume; outlives a restart"}
	c.Flags().StringVar(&note, "note", "", "`TEXT` that says why; status shows it")
	return a.change(c, func(ctx context.Context, c *control.Client, _ []string) (done, error) {
		return done{Done: "draining"}, c.Drain(ctx, note)
	})
}

func (a *app) resumeCommand() *cobra.Command {
	c := &cobra.Command{Use: "resume", Short: "End a pause or a drain"}
	return a.change(c, func(ctx context.Context, c *control.Client, _ []string) (done, error) {
		return done{Done: "running"}, c.Resume(ctx)
	})
}
