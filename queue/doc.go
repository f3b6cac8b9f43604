// Package queue is the contract of the agent's durable queue: what a job is,
// which states it can be in, and what a store of jobs promises.
//
// The states and their one transition table are in state.go and are drawn in
// README.md; a test compares both. The package holds no store: the embedded
// one is queue/bolt, and queue/queuetest is the suite that every store passes.
//
// Imports: of the agent only agent/fault. The agent's stages and the stores
// import it; connectors never do.
package queue
