// Package agent composes the agent: it opens what the configuration names,
// joins the stages, and starts and stops them in order.
//
// # Layers
//
//	cmd/sallyport        the command line
//	agent                composition, start and stop, the operators' view
//	agent/intake         an instance → the queue
//	agent/dispatch       the queue → policy → a connector → an outcome
//	agent/delivery       an outcome → the instance
//	agent/ecc, report    messages and reports; no effects
//	agent/servicenow     the client of an instance; eccqueue: the ECC queue in it
//	queue/bolt           what is durable
//	connectors, runner   what does the work, and the process that starts it
//
// # Start
//
// State folder (locked), keys, queue, runner, policy; then what an earlier
// process had started is asked for, then deliveries go on, then each instance
// is read. A job is started only when its instance showed it as ours since.
//
// # Stop
//
// Intake stops; running jobs get the grace period, after which those that the
// runner holds go on without the agent and every other ends; their outcomes are
// journaled; reports leave until the deadline; the queue closes. What is left is
// resumed at the next start. A second signal ends the process at once, which is
// safe at any moment.
//
// Imports: everything below agent, connectors and queue; cmd imports it.
package agent
