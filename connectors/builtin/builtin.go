package builtin

import (
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/command"
	"github.com/sallyport-agent/sallyport/connectors/diag"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// Registry returns the registry of all built-in connectors. client is how those
// that start processes reach the runner; it needs no runner before the first
// call, so that a list of connectors can be shown without one.
func Registry(client *runner.Client) (*connectors.Registry, error) {
	return connectors.NewRegistry(
		command.New(client),
		diag.New(),
	)
}
