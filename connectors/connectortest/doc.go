// Package connectortest is the suite that every connector passes: it checks
// what the contract in package connectors promises to the agent.
//
// Imports: connectors, agent/fault, jsonschema and go-toml, for tests alone.
package connectortest
