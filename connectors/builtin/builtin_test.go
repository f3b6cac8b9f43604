package builtin_test

import (
	"testing"

	"github.com/sallyport-agent/sallyport/connectors/builtin"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

func TestRegistryServesTheTopics(t *testing.T) {
	t.Parallel()
	r, err := builtin.Registry(runner.NewClient(runner.ClientOptions{Dir: t.TempDir()}))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := r.Topic("command"); !ok || s.Connector != "command" {
		t.Errorf("topic Command is served by %+v", s)
	}
	for _, a := range []string{"command.run", "diag.echo", "diag.sleep", "diag.fail", "diag.wait", "diag.append"} {
		if _, ok := r.Action(a); !ok {
			t.Errorf("no action %s", a)
		}
	}
}
