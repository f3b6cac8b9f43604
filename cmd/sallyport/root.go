package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The forms of output.
const (
	formText   = "text"
	formJSON   = "json"
	formSchema = "schema"
)

// execute runs one command line and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // the commands have the context of ExecuteContext
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	a.noColor = a.getenv("NO_COLOR") != ""
	err := root.ExecuteContext(ctx)
	if err == nil {
		return codeOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = &coded{code: codeInterrupted, err: fault.New(fault.Canceled, "", "", errors.New("interrupted"))}
	}
	if wantsJSON(args) {
		a.output = formJSON
	}
	return a.fail(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "The agent between ServiceNow and the systems behind your firewall",
		Long: "Sallyport takes work from the ECC queue of a ServiceNow instance, runs it here\n" +
			"through connectors as far as local rules allow, and reports every result.\n" +
			"It only dials out.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.configPath, "config", "", "configuration `FILE` (default: the platform's usual place)")
	f.StringVar(&a.control, "control", "", "`ADDRESS` of the running agent: socket or pipe (default: as the configuration says)")
	f.StringVar(&a.output, "output", formText, "`FORM` of the output: text, json, or schema for the JSON Schema of json")
	f.BoolVar(&a.noColor, "no-color", false, "no colors")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formText, formJSON, formSchema}, cobra.ShellCompDirectiveNoFileComp)) // the flag is four lines above
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		switch {
		case !slices.Contains([]string{formText, formJSON, formSchema}, a.output):
			return usage("read --output", a.output, "use text, json or schema")
		case a.output != formText && c.Annotations[hasSchema] == "":
			return usage("combine "+c.CommandPath()+" with --output", a.output, "this command writes text alone")
		}
		return nil
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &coded{code: codeUsage, err: fault.New(fault.Invalid, "", "", err).WithHint("see `" + c.CommandPath() + " --help`")}
	})
	root.AddCommand(a.commands()...)
	a.terse(root)
	return root
}

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.statusCommand(), a.jobsCommand(), a.policyCommand(),
		a.pauseCommand(), a.resumeCommand(), a.drainCommand(),
		a.doctorCommand(), a.configCommand(), a.connectorsCommand(),
		a.serviceCommand(), a.serviceRunCommand(), a.versionCommand(),
		a.runCommand(), a.runnerCommand(), a.simulatorCommand(), a.demoCommand(), a.benchCommand(),
	}
}

// terse makes arguments that do not fit a mistake in usage everywhere, and lets
// every leaf answer --output schema without its arguments.
func (a *app) terse(c *cobra.Command) {
	check := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if check == nil || a.output == formSchema && c.Annotations[hasSchema] != "" {
			return nil
		}
		err := check(c, args)
		if _, ok := errors.AsType[*coded](err); err == nil || ok {
			return err
		}
		return &coded{code: codeUsage, err: fault.New(fault.Invalid, "", "", err).WithHint("see `" + c.CommandPath() + " --help`")}
	}
	for _, sub := range c.Commands() {
		a.terse(sub)
	}
}

// group makes a command that only has others below it.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return &coded{code: codeUsage, err: fault.New(fault.Invalid, "run", fmt.Sprintf("%q", c.CommandPath()), errors.New("a command is missing")).
				WithHint("name one of: " + strings.Join(names(c), ", "))}
		},
	}
	c.AddCommand(subs...)
	return c
}

func names(c *cobra.Command) []string {
	var list []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			list = append(list, sub.Name())
		}
	}
	return list
}

func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see `" + c.CommandPath() + " --help`"
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean `" + c.CommandPath() + " " + near[0] + "`?"
	}
	return usage("run", c.CommandPath()+" "+clean(args[0]), hint)
}

// hasSchema marks the commands that answer --output schema.
const hasSchema = "schema"

// leaf completes a command whose result is one document of type T. An error
// beside a result that is only an exit code (see grade) lets the result out.
func leaf[T any](a *app, c *cobra.Command, run func(ctx context.Context, args []string) (T, error), text func(w io.Writer, v T) error) *cobra.Command {
	c.Annotations = map[string]string{hasSchema: "yes"}
	if c.Args == nil {
		c.Args = cobra.NoArgs
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.output == formSchema {
			return a.writeSchema(schemaOf[T](c.CommandPath()))
		}
		v, err := run(c.Context(), args)
		if g, ok := errors.AsType[*grade](err); err != nil && (!ok || g == nil) {
			return err
		}
		if a.output == formJSON {
			if failed := a.writeJSON(v); failed != nil {
				return failed
			}
			return err
		}
		if failed := text(a.out, v); failed != nil {
			return writeError(failed)
		}
		return err
	}
	return c
}

func writeError(err error) error {
	return fault.New(fault.Unavailable, "write", "the output", err).WithHint("check where standard output goes")
}

func wantsJSON(args []string) bool {
	for i, arg := range args {
		if arg == "--output=json" || arg == "--output" && i+1 < len(args) && args[i+1] == formJSON {
			return true
		}
	}
	return false
}

func usage(op, subject, hint string) error {
	return &coded{code: codeUsage, err: fault.New(fault.Invalid, op, fmt.Sprintf("%q", subject), errors.New("there is no such thing")).WithHint(hint)}
}
