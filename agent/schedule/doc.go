// Package schedule proves the three stages together: intake, dispatch and
// delivery run over a model of the queue, of an instance and of the targets, in
// virtual time, one step at a time, in an order that a seed decides. The seed
// also decides about crashes, faults, delays and reorderings, so that a failing
// schedule is replayed by its number.
//
// It holds no production code. A world (world.go) runs every stage as a
// coroutine that gives way at each call to the queue, the instance or a target,
// before and after its effect; a crash drops all coroutines where they stand
// and starts the stages anew over what was durable. What the model's instance
// does (instance.go) is written from the ServiceNow documentation of the ECC
// queue and shares nothing with the simulator.
//
// Imports: the stages, queue, queue/queuetest, connectors; tests only.
package schedule
