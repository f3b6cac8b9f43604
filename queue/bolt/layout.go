package bolt

import (
	"encoding/binary"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

// The bucket tree. Every key that ends in seq is append-ordered, so that the
// writes of a busy hour land on few pages. Numbers in keys are big endian.
//
//	meta                 "schema"    → "1"
//	                     "key"       → by what the state key is recognised
//	                     "counters"  → JSON and checksum, rewritten by every commit
//	                     "probe"     → what Health wrote last
//	salts                epoch       → the salt of that opening's key
//	groups               gid         → the slot and how many open jobs have it
//	jobs                 seq         → the immutable part of an open job
//	status               seq         → what transitions change of an open job
//	bodies               seq, part   → a sealed body, or the sealed name of its file
//	files                name        → seq, part of the body that the file holds
//	ids                  instance/sys_id    → the last run and its seq
//	                     instance/sys_id#n  → seq of an earlier run
//	ready                gid, pool, priority, sequence, seq → nothing: may be leased
//	due                  until, seq  → nothing: waiting or held until then
//	finished             fin         → seq of a job whose report is not acknowledged
//	done                 seq         → status and job of a final job
//	delivered / yyyymmdd seq         → nothing: what became final on that day
//	kept                 n           → seq of a final job whose outcome is kept
//	broken               seq         → what cannot be read, and why
//
// seq numbers jobs in the order in which they were put, fin numbers outcomes in
// the order in which they were journaled.
const (
	schemaVersion = 1

	bktMeta      = "meta"
	bktSalts     = "salts"
	bktGroups    = "groups"
	bktJobs      = "jobs"
	bktStatus    = "status"
	bktBodies    = "bodies"
	bktFiles     = "files"
	bktIDs       = "ids"
	bktReady     = "ready"
	bktDue       = "due"
	bktFinished  = "finished"
	bktDone      = "done"
	bktDelivered = "delivered"
	bktKept      = "kept"
	bktBroken    = "broken"

	keySchema   = "schema"
	keyCheck    = "key"
	keyCounters = "counters"
	keyProbe    = "probe"

	dayFormat = "20060102"
)

func allBuckets() []string {
	return []string{
		bktMeta, bktSalts, bktGroups, bktJobs, bktStatus, bktBodies, bktFiles, bktIDs, bktReady, bktDue,
		bktFinished, bktDone, bktDelivered, bktKept, bktBroken,
	}
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func seqOf(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key[len(key)-8:])
}

func gidKey(gid uint32) []byte { return binary.BigEndian.AppendUint32(nil, gid) }

func bodyKey(seq uint64, part queue.Part) []byte {
	return append(seqKey(seq), byte(part))
}

// orderKey sorts jobs by pool, priority, sequence and the order in which they
// were put. A sequence is of any length, so its end is marked and its zero
// bytes are escaped.
func orderKey(j *queue.Job, seq uint64) []byte {
	key := make([]byte, 0, 5+len(j.Sequence)+10)
	key = append(key, byte(j.Pool))
	priority := int32(max(min(j.Priority, 1<<30), -1<<30))
	key = binary.BigEndian.AppendUint32(key, uint32(priority)^(1<<31))
	for i := range min(len(j.Sequence), queue.MaxSequence) {
		key = append(key, j.Sequence[i])
		if j.Sequence[i] == 0 {
			key = append(key, 0xff)
		}
	}
	key = append(key, 0, 1)
	return binary.BigEndian.AppendUint64(key, seq)
}

func readyKey(gid uint32, order []byte) []byte {
	return append(gidKey(gid), order...)
}

func dueKey(until time.Time, seq uint64) []byte {
	key := binary.BigEndian.AppendUint64(nil, uint64(until.Unix())^(1<<63))
	key = binary.BigEndian.AppendUint32(key, uint32(until.Nanosecond()))
	return binary.BigEndian.AppendUint64(key, seq)
}

func dueTime(key []byte) time.Time {
	if len(key) != 20 {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(key)^(1<<63)), int64(binary.BigEndian.Uint32(key[8:]))).UTC()
}
