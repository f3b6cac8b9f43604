// Package connectors is the contract between the agent and its connectors: the
// plugins that know one kind of target each.
//
// A connector describes itself ([Descriptor]: actions, their parameters and
// effects, its settings), opens a [Session] for each configured target, and
// runs calls in it. It stays naive: timeouts, limits, retries, redaction,
// audit, metrics and panics are handled once, around it, by the agent. What it
// must do itself is to be honest about effects:
//
//   - an action whose [Effect] can be Recoverable has a session that implements
//     [Recoverer], saves its key with [Call.Save] before the first mutating
//     byte and the returned id right after;
//   - an error says by its fault.Kind whether something may have happened:
//     Unavailable, Denied, Invalid and Conflict promise that this attempt
//     changed nothing; Timeout, Canceled, Unknown and Internal do not.
//
// connectors/connectortest holds the suite that every connector passes, and
// connectors/builtin the one list of those that are built in.
//
// Imports: of the agent only agent/fault. A connector imports neither another
// connector nor the queue, the configuration or the secret store.
package connectors
