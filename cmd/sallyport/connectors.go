package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/builtin"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// connector is one kind of target.
type connector struct {
	Name      string          `json:"name"`
	Help      string          `json:"help"`
	Platforms []string        `json:"platforms"` // none: all
	Implicit  bool            `json:"implicit"`  // one target exists without configuration
	Actions   []action        `json:"actions"`
	Sample    string          `json:"sample,omitempty"`
	Settings  json.RawMessage `json:"settings,omitempty"` // JSON Schema
}

// action is one operation of a connector.
type action struct {
	Name       string          `json:"name"`
	Help       string          `json:"help"`
	Topics     []string        `json:"topics"`
	Parameters json.RawMessage `json:"parameters,omitempty"` // JSON Schema
}

// catalog is the registry of what this program can do. Nothing of it is run.
func catalog() (*connectors.Registry, error) {
	return builtin.Registry(runner.NewClient(runner.ClientOptions{}))
}

// own describes what the agent answers itself, in the form of a connector.
func own() connector {
	c := connector{Name: "agent", Help: "What the agent answers itself, without a rule.", Implicit: true}
	for _, topic := range agent.OwnTopics() {
		c.Actions = append(c.Actions, action{Name: topic, Help: "Answered by the agent itself.", Topics: []string{topic}})
	}
	return c
}

func describe(d connectors.Descriptor, whole bool) connector {
	c := connector{Name: d.Name, Help: d.Help, Platforms: d.Platforms, Implicit: d.Implicit}
	if whole {
		c.Sample, c.Settings = d.Sample, d.Settings
	}
	for _, act := range d.Actions {
		out := action{Name: act.Name, Help: act.Help, Topics: act.Topics}
		if whole {
			out.Parameters = act.Parameters
		}
		c.Actions = append(c.Actions, out)
	}
	return c
}

func (a *app) connectorsCommand() *cobra.Command {
	return group("connectors", "Look at what the agent can do", a.connectorsListCommand(), a.connectorsShowCommand(), a.connectorsProbeCommand())
}

func (a *app) connectorsListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List every connector, action and topic; needs no configuration"}
	return leaf(a, c, func(context.Context, []string) ([]connector, error) {
		registry, err := catalog()
		if err != nil {
			return nil, err
		}
		list := []connector{own()}
		for _, con := range registry.Connectors() {
			list = append(list, describe(con.Describe(), false))
		}
		return list, nil
	}, func(w io.Writer, list []connector) error {
		t := table{head: []string{"CONNECTOR", "ACTION", "TOPICS", "WHAT"}}
		for _, con := range list {
			for _, act := range con.Actions {
				t.add(con.Name, act.Name, strings.Join(act.Topics, ", "), act.Help)
			}
		}
		return t.write(w)
	})
}

func (a *app) connectorsShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "show NAME", Short: "Show a connector's settings, actions and parameters",
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeConnectors,
	}
	return leaf(a, c, func(_ context.Context, args []string) (connector, error) {
		con, err := find(args[0])
		if err != nil {
			return connector{}, err
		}
		return describe(con.Describe(), true), nil
	}, showConnector)
}

func find(name string) (connectors.Connector, error) {
	registry, err := catalog()
	if err != nil {
		return nil, err
	}
	con := registry.Connector(name)
	if con == nil {
		return nil, fault.New(fault.Conflict, "find connector", fmt.Sprintf("%q", clean(name)), errors.New("there is none of that name")).
			WithHint("`sallyport connectors list` names them")
	}
	return con, nil
}

func completeConnectors(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	registry, err := catalog()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var list []string
	for _, con := range registry.Connectors() {
		d := con.Describe()
		list = append(list, d.Name+"\t"+d.Help)
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

func showConnector(w io.Writer, c connector) error {
	var f facts
	f.add("connector", c.Name)
	f.add("what", c.Help)
	f.add("platforms", strings.Join(c.Platforms, ", "))
	if c.Implicit {
		f.add("target", "one named "+c.Name+" exists without configuration")
	}
	for _, act := range c.Actions {
		f.add("action", act.Name+": "+act.Help)
		f.add("  topics", strings.Join(act.Topics, ", "))
		f.add("  parameters", strings.Join(parameters(act.Parameters), ", "))
	}
	if err := f.write(w); err != nil || c.Sample == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", cleanLines(strings.TrimSpace(c.Sample)))
	return err
}

// parameters names the parameters of a schema, required ones with a star.
func parameters(schema json.RawMessage) []string {
	var s struct {
		Properties json.RawMessage `json:"properties"`
		Required   []string        `json:"required"`
	}
	if json.Unmarshal(schema, &s) != nil || len(s.Properties) == 0 {
		return nil
	}
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	var list []string
	d := json.NewDecoder(strings.NewReader(string(s.Properties)))
	_, _ = d.Token() // the opening brace; the object was decoded above
	for d.More() {
		name, err := d.Token()
		var skipped json.RawMessage
		if err != nil || d.Decode(&skipped) != nil {
			return list
		}
		text := fmt.Sprint(name)
		if required[text] {
			text += "*"
		}
		list = append(list, text)
	}
	return list
}
