package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/control"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	var every time.Duration
	c := &cobra.Command{
		Use: "status", Short: "Show the running agent on one screen; the exit code is its health",
		Long: "Show the running agent on one screen.\n\nThe exit code is 0 when it is healthy and 8 when there is a problem: a link that\n" +
			"is down, a disk that takes nothing, a broken record, or what the agent itself reports.",
	}
	c.Flags().BoolVar(&watch, "watch", false, "show it again and again until interrupted")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "how often with --watch")
	return leaf(a, c, func(ctx context.Context, _ []string) (control.Status, error) {
		if watch {
			if a.output == formJSON {
				return control.Status{}, usage("combine --watch with --output", formJSON, "run the command again for another document")
			}
			return control.Status{}, a.watch(ctx, max(every, 200*time.Millisecond))
		}
		s, err := a.status(ctx)
		if err != nil {
			return s, err
		}
		if len(ailments(s)) > 0 {
			return s, &grade{code: codeUnhealthy}
		}
		return s, nil
	}, func(w io.Writer, s control.Status) error {
		if watch {
			return nil
		}
		return a.showStatus(w, s)
	})
}

func (a *app) status(ctx context.Context) (control.Status, error) {
	client, err := a.dial(ctx)
	if err != nil {
		return control.Status{}, err
	}
	defer client.Close()
	return client.Status(ctx)
}

// watch shows the status until ctx ends. An agent that does not answer is shown
// as that and asked again.
func (a *app) watch(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s, err := a.status(ctx)
		if ctx.Err() != nil {
			return nil // the end of watching is no error
		}
		if terminal(a.out) {
			_, _ = io.WriteString(a.out, "\x1b[H\x1b[2J") // what cannot be cleared is written below
		}
		if err == nil {
			err = a.showStatus(a.out, s)
		} else {
			_, err = fmt.Fprintf(a.out, "%s\n", cleanLines(err.Error()))
		}
		if err != nil {
			return writeError(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ailments returns why an agent is not healthy. Being paused is no ailment: it is
// what someone wanted.
func ailments(s control.Status) []string {
	list := append([]string{}, s.Problems...)
	for _, i := range s.Instances {
		if i.Link != "up" {
			list = append(list, "link to "+i.Name+" is "+i.Link)
		}
		if i.Blocked != "" {
			list = append(list, i.Name+": "+i.Blocked)
		}
		if i.Twin != "" {
			list = append(list, i.Name+": another agent has this name: "+i.Twin)
		}
	}
	if s.Disk.Error != "" {
		list = append(list, "disk: "+s.Disk.Error)
	}
	if s.Runner.Error != "" {
		list = append(list, "runner: "+s.Runner.Error)
	}
	if s.Jobs.Quarantined > 0 {
		list = append(list, fmt.Sprintf("%d broken records are kept aside", s.Jobs.Quarantined))
	}
	return list
}
