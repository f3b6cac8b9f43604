package main

import (
	"sync"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/control/controltest"
)

// running holds the sample agents of the scripts, by their folder.
type running struct {
	mu     sync.Mutex
	byWork map[string]*controltest.Agent
}

var agents running

func (r *running) put(work string, a *controltest.Agent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byWork == nil {
		r.byWork = map[string]*controltest.Agent{}
	}
	r.byWork[work] = a
}

func (r *running) get(work string) *controltest.Agent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byWork[work]
}

// leaves returns all commands that have none below them.
func leaves(c *cobra.Command) []*cobra.Command {
	if len(c.Commands()) == 0 {
		return []*cobra.Command{c}
	}
	var list []*cobra.Command
	for _, sub := range c.Commands() {
		list = append(list, leaves(sub)...)
	}
	return list
}
