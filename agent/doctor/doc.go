// Package doctor finds out why an agent cannot work, from the network up.
//
// It is an ordered list of named checks ([Check]). Each ends with a [Finding]:
// ok, warn, fail or skip, why, and what to do about it. A check whose ground is
// missing (no DNS, no login) is skipped and says so; one failure is not repeated
// by all that follows from it.
//
// # What it writes
//
// Nothing runs, and nothing that an agent or a sensor would act upon is left:
//
//   - insert, update and delete are tried on one input of topic "Sallyport" in
//     state processed, which no sensor takes, and which is deleted again;
//   - the claim is tried on one output in state ready for an agent of a random
//     name that nobody serves, so that no agent takes it; it is claimed by one
//     queue.processing input, looked at, and both are deleted. Where deleting is
//     not allowed, the output is answered, as an agent answers work, and stays as
//     processed.
//
// [Options.NoWrite] leaves both out.
//
// Imports: agent/config, agent/control, agent/ecc, agent/fault, agent/secret,
// agent/servicenow, and golang.org/x/sys.
package doctor
