// Package delivery brings reports to an instance: every outcome that the queue
// holds, until the instance has acknowledged it, however long that takes.
//
// One [Delivery] serves one instance. An insert into the ECC queue is not
// idempotent, so a report is never simply posted again:
//
//	never sent            mark it sent (durable), then post it
//	acknowledged          delivered
//	surely not received   mark it unsent, post it again after a pause
//	anything else         wait until the instance can no longer be working on
//	                      it (settle), look for it by response_to, topic, name
//	                      and agent, and post it again only if it is not there
//
// Reports of one part are posted many in one request. A report of several parts
// goes through an ordered lane: one part in flight, the next one when it is
// acknowledged. Nothing is given up and nothing is dropped.
//
// Imports: queue, agent/ecc, agent/fault, agent/report. The instance is an
// interface that it declares itself.
package delivery
