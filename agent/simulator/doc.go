// Package simulator is a ServiceNow instance in a process: the ECC queue with
// its business rules, the Table, Batch and Attachment APIs, OAuth, sessions and
// access rules, and faults on demand. The demo, the tests and the benchmarks run
// the agent against it, and `sallyport simulator` offers it to people.
//
// It shares no code with the agent, so that one misunderstanding of an instance
// cannot hide in both, and it aims to be no friendlier than a real instance:
// mistyped query terms are dropped, limits cut before access rules do, Basic
// authentication is refused to interactive users, requests that crowd one
// session are dropped with 202.
//
// An [Instance] is an http.Handler. [Instance.Transport] reaches it without a
// socket, and all its time comes from Options.Now and Options.After, so that it
// runs in a testing/synctest bubble. [Instance.Faults] scripts what goes wrong.
// README.md says what the simulator chose where the public documentation is
// silent, and what it does not do.
//
// Imports: the standard library only, and by intention nothing of this module.
package simulator
