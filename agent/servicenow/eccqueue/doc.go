// Package eccqueue is the ECC queue of an instance as the stages see it: the
// table ecc_queue behind the client's Table, Batch and Attachment APIs. It
// implements the interfaces that agent/intake and agent/delivery declare.
//
// What the agent relies on is documented behaviour: a claim is the insert of a
// queue.processing input, after which a business rule of the instance marks the
// outputs (KB0855595, KB0727132); where that does not take, the outputs are
// updated instead. Every record that a list returns is checked against the
// agent's own name, the queue and the state by the client.
//
// Imports: agent/ecc, agent/fault, agent/intake, agent/delivery,
// agent/servicenow, golang.org/x/sync.
package eccqueue
