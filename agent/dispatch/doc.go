// Package dispatch runs jobs: it leases them from the queue where a pool, a
// target and a lane have room, asks the policy, journals the start before the
// first effect, runs the connector, and journals the outcome.
//
// The package has one unit of work, the task: [Dispatcher.Next] leases a job
// and returns the task that runs it to its end, [Dispatcher.Resume] returns the
// tasks of the jobs that an earlier process had started. [Dispatcher.Run] is
// the loop around them. What a task does to the queue:
//
//	claimed ──▶ finished             denied, expired, malformed, nobody serves it
//	claimed ──▶ held                 the policy wants an approval or a time
//	claimed ──▶ started              durable before the connector is called
//	started ──▶ finished             output, failure, unknown
//	started ──▶ waiting              the connector waits, or a retry is due
//	started                          the agent stops and the work goes on without it
//
// Timeouts, limits, retries, redaction and panics are handled here, once,
// around every connector.
//
// Imports: queue, connectors, agent/ecc, agent/fault, agent/report. Policy and
// targets are interfaces that it declares itself.
package dispatch
