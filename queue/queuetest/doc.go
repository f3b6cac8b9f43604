// Package queuetest holds what every user and every maker of a queue needs for
// tests: [Run], the suite that checks each promise of package queue on a store;
// [Memory], a complete store without a disk, which is the suite's model too;
// and [Failing] and [FailingAfter], which make the calls of any store fail.
//
// Where the contract leaves a detail open, the suite accepts every reading that
// loses nothing; where users of the queue depend on one reading, the suite says
// so beside the check.
//
// Imports: queue, agent/fault and go-cmp, for tests alone.
package queuetest
