// Package diag is the connector for trying out and measuring the agent itself:
// it echoes, sleeps, fails, waits and appends to a file, and needs no target.
//
// diag.append is the witness of the demo and of the crash test: each run leaves
// the job's id in a file, so that what ran, and how often, can be counted
// without the agent's own records. It appends only to the one file that the
// settings name.
//
// Imports: connectors, agent/fault.
package diag
