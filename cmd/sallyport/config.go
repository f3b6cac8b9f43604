package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "Look at the configuration", a.configCheckCommand(), a.configShowCommand(), a.configExplainCommand())
}

// checked is a configuration without mistakes.
type checked struct {
	OK        bool     `json:"ok"`
	Files     []string `json:"files"`
	Name      string   `json:"name"`
	Instances int      `json:"instances"`
	Targets   int      `json:"targets"`
	Rules     int      `json:"rules"`
}

func (a *app) configCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "check", Short: "Check the configuration, and name all mistakes at once",
		Long: "Check the configuration and name all mistakes at once, each with its line and a remedy.\nNothing is opened or contacted; `sallyport doctor` does that.",
	}
	return leaf(a, c, func(context.Context, []string) (checked, error) {
		conf, err := a.config()
		if err != nil {
			return checked{}, err
		}
		registry, err := catalog()
		if err != nil {
			return checked{}, err
		}
		if err := conf.Check(registry, agent.OwnTopics()...); err != nil {
			return checked{}, configError(err)
		}
		return checked{
			OK: true, Files: conf.Files(), Name: conf.Name,
			Instances: len(conf.Instances), Targets: len(conf.Connectors), Rules: len(conf.Policy.Rules),
		}, nil
	}, func(w io.Writer, v checked) error {
		_, err := fmt.Fprintf(w, "%s: ok; agent %s, %d instances, %d targets, %d rules\n",
			clean(strings.Join(v.Files, ", ")), clean(v.Name), v.Instances, v.Targets, v.Rules)
		return err
	})
}

func (a *app) configShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "show", Short: "Show the configuration in effect, with defaults and overrides",
		Long: "Show the configuration in effect as TOML that gives it again: files, environment and\ndefaults together. Secrets are shown as their references.",
	}
	return leaf(a, c, func(context.Context, []string) (json.RawMessage, error) {
		conf, err := a.config()
		if err != nil {
			return nil, err
		}
		if a.output == formJSON {
			return conf.ShowJSON()
		}
		return conf.ShowTOML()
	}, func(w io.Writer, text json.RawMessage) error {
		_, err := fmt.Fprint(w, cleanLines(string(text)))
		return err
	})
}

func (a *app) configExplainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "explain [KEY]", Short: "Tell what a key means, its value and where that came from",
		Long: "Tell what a key means, its value and where that came from; without a key, of all.",
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return config.Default().Keys(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	return leaf(a, c, func(_ context.Context, args []string) ([]config.Explanation, error) {
		conf, err := a.config()
		if err != nil {
			return nil, err
		}
		keys := args
		if len(keys) == 0 {
			keys = conf.Keys()
		}
		var list []config.Explanation
		for _, key := range keys {
			e, err := conf.Explain(key)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	}, showKeys)
}

func showKeys(w io.Writer, list []config.Explanation) error {
	if len(list) != 1 {
		t := table{head: []string{"KEY", "VALUE", "ORIGIN"}}
		for _, e := range list {
			t.add(e.Key, e.Value, e.Origin)
		}
		return t.write(w)
	}
	e := list[0]
	var f facts
	f.add("key", e.Key)
	f.add("help", e.Help)
	f.add("value", e.Value)
	f.add("origin", e.Origin)
	f.add("default", e.Default)
	f.add("values", e.Range)
	f.add("variable", e.Env)
	if e.Restart {
		f.add("a change", "needs a restart")
	}
	return f.write(w)
}
