package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/queue"
)

func (a *app) jobsCommand() *cobra.Command {
	return group("jobs", "Look at jobs and steer them",
		a.jobsListCommand(), a.jobsShowCommand(), a.jobsLogsCommand(),
		a.jobsRetryCommand(), a.jobsCancelCommand(), a.jobsApproveCommand())
}

func stateNames() []string {
	var list []string
	for _, s := range queue.States() {
		list = append(list, s.String())
	}
	return list
}

func (a *app) jobsListCommand() *cobra.Command {
	var f control.Filter
	c := &cobra.Command{
		Use: "list", Short: "List jobs, the newest first",
		Long: "List jobs, the newest first; delivered ones while they are remembered.\n\nStates: " + strings.Join(stateNames(), ", ") + ".",
	}
	c.Flags().StringVar(&f.State, "state", "", "only jobs in this `STATE`")
	c.Flags().StringVar(&f.Result, "result", "", "only jobs with this `RESULT`")
	c.Flags().StringVar(&f.Topic, "topic", "", "only jobs of this `TOPIC`")
	c.Flags().StringVar(&f.Instance, "instance", "", "only jobs of this `INSTANCE`")
	c.Flags().IntVar(&f.Limit, "limit", 100, "at most `N` jobs")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateNames(), cobra.ShellCompDirectiveNoFileComp)) // the flag is above
	return leaf(a, c, func(ctx context.Context, _ []string) ([]control.Job, error) {
		if f.State != "" {
			if _, err := queue.ParseState(f.State); err != nil {
				return nil, err
			}
		}
		if f.Limit < 1 || f.Limit > control.MaxJobs {
			return nil, usage("read --limit", strconv.Itoa(f.Limit), "use a number from 1 to "+strconv.Itoa(control.MaxJobs))
		}
		client, err := a.dial(ctx)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		return client.Jobs(ctx, f)
	}, a.showJobs)
}

func (a *app) showJobs(w io.Writer, list []control.Job) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no jobs")
		return err
	}
	t := table{head: []string{"JOB", "STATE", "RESULT", "TOPIC", "SINCE", "NAME"}}
	for _, j := range list {
		name := j.Name
		if j.Why != "" {
			why, _, _ := strings.Cut(j.Why, "\n") // `jobs show` has the rest
			name += " (" + why + ")"
		}
		t.add(j.ID, j.State, j.Result, j.Topic, ago(a.now(), j.Changed), name)
	}
	return t.write(w)
}

func (a *app) jobsShowCommand() *cobra.Command {
	c := &cobra.Command{Use: "show JOB", Short: "Show everything that is known of a job", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeJobs}
	return leaf(a, c, func(ctx context.Context, args []string) (control.Detail, error) {
		client, err := a.dial(ctx)
		if err != nil {
			return control.Detail{}, err
		}
		defer client.Close()
		return client.Job(ctx, args[0])
	}, a.showJob)
}

func (a *app) jobsRetryCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "retry JOB", Short: "Let a waiting job go on now, or run an ended one again as a new run",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeJobs,
	}
	c.Flags().BoolVar(&force, "force", false, "also when it succeeded or its outcome is unknown")
	return a.change(c, func(ctx context.Context, c *control.Client, args []string) (done, error) {
		id, err := c.Retry(ctx, args[0], force)
		return done{Done: "retried", Job: args[0], NewJob: id}, err
	})
}

func (a *app) jobsCancelCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "cancel JOB", Short: "End a job; the instance gets a report",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeJobs,
	}
	return a.change(c, func(ctx context.Context, c *control.Client, args []string) (done, error) {
		return done{Done: "canceled", Job: args[0]}, c.Cancel(ctx, args[0])
	})
}

func (a *app) jobsApproveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "approve JOB", Short: "Let a held job start",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeJobs,
	}
	return a.change(c, func(ctx context.Context, c *control.Client, args []string) (done, error) {
		return done{Done: "approved", Job: args[0]}, c.Approve(ctx, args[0])
	})
}

// completeJobs completes job ids by asking the agent.
func (a *app) completeJobs(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := a.dial(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer client.Close()
	list, err := client.Jobs(c.Context(), control.Filter{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, j := range list {
		ids = append(ids, clean(j.ID)+"\t"+clean(j.State+" "+j.Name))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
