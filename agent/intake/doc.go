// Package intake takes work from an instance: it reads the ready outputs of
// the ECC queue, journals them, and only then claims them.
//
// One [Intake] serves one instance. Its [Intake.Step] does one round and is
// all that the package does; [Intake.Run] calls it on a timer, on a wake-up
// and when there is room again. The order inside a round is the promise:
//
//  1. read a page of ready outputs, past what is known,
//  2. journal what is new with one durable write,
//  3. claim it, with one insert for the page,
//  4. look at the records again, and make those jobs claimed that the instance
//     shows as ours and processing.
//
// A crash between any two of these leaves a job in received, which the next
// round claims and looks at again. What the queue has seen before is never run
// by reading it again; seen.go holds those rules.
//
// Imports: queue, agent/ecc, agent/fault. The instance, the routing and the
// direct answers are interfaces that it declares itself.
package intake
