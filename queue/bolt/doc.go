// Package bolt is the embedded queue.Queue: one bbolt file, a folder of large
// bodies beside it, and one goroutine that writes.
//
// # Files
//
//	queue.db      the bbolt file, pages as bbolt v1 defines them; locked while open
//	queue.pid     the process that holds the lock, for the error of a second one
//	bodies/NAME   a body over 64 KiB, sealed in chunks (stream.go)
//	reserve       bytes that are given back to a full disk, so that running jobs
//	              can finish; made again when there is room
//
// The bucket tree is drawn in layout.go. A record is a sequence of varints,
// length-prefixed strings and times (a flag byte, then seconds and nanoseconds)
// in the order that codec.go writes them, and ends with a CRC-32C (RFC 3720)
// over its key's seq and its bytes. A body is sealed with AES-256-GCM under a
// key that is derived for each opening of the store (seal.go); the job's id and
// the part are authenticated with it. "schema" in the meta bucket is the
// version of all this: 1.
//
// # Writing
//
// Callers seal bodies and write body files in parallel, then queue one
// operation each. The writer takes everything that waits and commits it in one
// transaction (group commit, without a delay: what comes while it commits is the
// next transaction). An operation validates before it writes, so a conflict
// fails alone; after a panic the transaction is made again without the culprit.
// Memory follows the file only after the commit.
//
// A body file is synced, renamed and its folder synced before the transaction
// that names it; it is removed after the transaction that forgets it. What a
// crash leaves in between is removed when the store is next opened.
//
// After a failed commit the file is opened anew and says what happened (see
// afterFailure). On a full disk the reserve is released once and everything but
// new work is tried again.
//
// # Leasing
//
// Ready jobs are in one bucket, ordered by slot, pool, priority, sequence and
// arrival. Memory holds a window on the first of each slot, so it grows with
// the number of slots and not with the backlog. What waits for a time is moved
// there by a transaction when a Lease finds it due.
//
// Lock order: index.mu, Store.dbmu, Store.cmu or writer.mu.
//
// Imports: bbolt (this package alone), golang.org/x/sys, and of Sallyport queue
// and agent/fault.
package bolt
