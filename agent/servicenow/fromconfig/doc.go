// Package fromconfig makes the configuration of an instance's client from the
// agent's configuration: one place for the agent and for its doctor, so that the
// doctor examines the very link that the agent uses.
//
// Imports: agent/config, agent/fault, agent/secret, agent/servicenow.
package fromconfig
