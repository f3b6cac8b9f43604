package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// forkedIdle is how long a runner that an agent started lives without work and
// without an agent.
const forkedIdle = time.Minute

// runnerCommand is the runner's main: as a service of its own, or as an agent
// starts it (--forked --dir FOLDER).
func (a *app) runnerCommand() *cobra.Command {
	var dir string
	var forked bool
	c := &cobra.Command{
		Use: "runner", Short: "Run the process that starts and supervises the jobs' processes",
		Long: "Run the process that starts and supervises the jobs' processes and outlives the agent.\n" +
			"`sallyport run` starts one where none is installed; nobody else needs to.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := runner.Options{Dir: dir, Version: thisBuild().Version, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
			if forked {
				o.IdleExit = forkedIdle
			}
			if dir == "" {
				conf, err := a.config()
				if err != nil {
					return err
				}
				o.Dir = filepath.Join(conf.StateDir, "runner")
			}
			return runner.Serve(c.Context(), o)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the runner's state `FOLDER`, absolute (default: runner in the state folder of the configuration)")
	c.Flags().BoolVar(&forked, "forked", false, "end when idle for a minute")
	return c
}
