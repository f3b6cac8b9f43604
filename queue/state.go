package queue

import (
	"fmt"
	"slices"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// State is where a job stands. The zero State is no state.
type State uint8

// The states, in the order of a job's life.
const (
	// Received: journaled here; the instance does not know yet that it is ours.
	Received State = iota + 1
	// Claimed: the instance confirmed that the job is ours; ready to be leased.
	Claimed
	// Held: claimed, but kept from starting until someone or some time allows it.
	Held
	// Started: an attempt was begun; from here on the job may have had effects.
	Started
	// Waiting: an attempt ended without an outcome; the next one is due later.
	Waiting
	// Finished: the outcome is journaled; its report is still to be delivered.
	Finished
	// Delivered: the instance acknowledged the report. Final.
	Delivered
	// Released: not ours any more, never started; nothing is reported. Final.
	Released
)

var stateNames = [...]string{ //nolint:gochecknoglobals // a constant table
	"", "received", "claimed", "held", "started", "waiting", "finished", "delivered", "released",
}

// transitions is the one table of allowed moves: from → to.
var transitions = map[State][]State{ //nolint:gochecknoglobals // a constant table
	Received: {Claimed, Finished, Released},
	Claimed:  {Held, Started, Finished, Released},
	Held:     {Claimed, Finished, Released},
	Started:  {Waiting, Finished},
	Waiting:  {Started, Finished},
	Finished: {Delivered},
}

// States returns all states in the order of a job's life.
func States() []State {
	return []State{Received, Claimed, Held, Started, Waiting, Finished, Delivered, Released}
}

// String returns the state's name as status, logs and JSON show it.
func (s State) String() string {
	if int(s) < len(stateNames) && s != 0 {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState returns the state with that name, or fault.Invalid.
func ParseState(name string) (State, error) {
	if i := slices.Index(stateNames[1:], name); i >= 0 {
		return State(i + 1), nil
	}
	return 0, fault.New(fault.Invalid, "read job state", name, nil).
		WithHint("use one of the states that `sallyport jobs list --help` names")
}

// CanBecome reports whether a job in state s may move to state to.
func (s State) CanBecome(to State) bool { return slices.Contains(transitions[s], to) }

// Final reports whether no transition leads out of the state.
func (s State) Final() bool { return len(transitions[s]) == 0 }

// Unstarted reports whether nothing was done for the job yet, so that it can
// be given back without a trace.
func (s State) Unstarted() bool { return s == Received || s == Claimed || s == Held }
