package main

import "github.com/spf13/cobra"

// serviceRun is the command that the service manager of Windows starts.
const serviceRun = "svcrun"

func (a *app) serviceRunCommand() *cobra.Command {
	return &cobra.Command{
		Use: serviceRun + " COMMAND [FLAGS]", Short: "Run a command as a service of Windows", Hidden: true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(1),
		RunE:               func(c *cobra.Command, args []string) error { return a.runService(c.Context(), args) },
	}
}
