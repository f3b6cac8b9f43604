package bolt

import (
	"bytes"
	"encoding/binary"
	"strconv"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/queue"
)

// The ids bucket maps a message to its last run, so that one look tells whether
// it is known; earlier runs have keys of their own.

func baseKey(instance, sysID string) []byte { return []byte(instance + "/" + sysID) }

func runKey(base []byte, run int) []byte {
	return append(append(bytes.Clone(base), '#'), strconv.Itoa(run)...)
}

func lastRun(v []byte) (run int, seq uint64, ok bool) {
	if len(v) != 16 {
		return 0, 0, false
	}
	if binary.BigEndian.Uint32(v[12:]) != checksum(0, v[:12]) {
		return 0, 0, false
	}
	return int(binary.BigEndian.Uint32(v)), binary.BigEndian.Uint64(v[4:]), true
}

func lastRunValue(run int, seq uint64) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 16), uint32(run))
	b = binary.BigEndian.AppendUint64(b, seq)
	return binary.BigEndian.AppendUint32(b, checksum(0, b))
}

// findSeq returns the seq of an id, 0 where it is not known.
func findSeq(b *bbolt.Bucket, id queue.ID) (uint64, error) {
	instance, sysID, run, err := id.Split()
	if err != nil {
		return 0, err
	}
	base := baseKey(instance, sysID)
	v := b.Get(base)
	if v == nil {
		return 0, nil
	}
	last, seq, ok := lastRun(v)
	if !ok {
		return 0, brokenRecord("look up job", string(id), errChecksum)
	}
	if last == run {
		return seq, nil
	}
	_, seq, ok = lastRun(b.Get(runKey(base, run)))
	if !ok {
		return 0, nil
	}
	return seq, nil
}

// remember maps an id that findSeq did not know to a seq.
func (t *txn) remember(j *queue.Job, seq uint64) {
	base := baseKey(j.Instance, j.SysID)
	run := max(j.Run, 1)
	last, lastSeq, ok := lastRun(t.bucket(bktIDs).Get(base))
	switch {
	case !ok:
		t.put(bktIDs, base, lastRunValue(run, seq))
	case last < run:
		t.put(bktIDs, runKey(base, last), lastRunValue(last, lastSeq))
		t.put(bktIDs, base, lastRunValue(run, seq))
	default:
		t.put(bktIDs, runKey(base, run), lastRunValue(run, seq))
	}
}

// forgetID drops an id; where it was the last run, the one before becomes it.
func (t *txn) forgetID(j *queue.Job) {
	base := baseKey(j.Instance, j.SysID)
	last, _, ok := lastRun(t.bucket(bktIDs).Get(base))
	if !ok || last != max(j.Run, 1) {
		t.del(bktIDs, runKey(base, max(j.Run, 1)))
		return
	}
	prefix := append(bytes.Clone(base), '#')
	best, bestSeq := 0, uint64(0)
	c := t.bucket(bktIDs).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if run, seq, ok := lastRun(v); ok && run > best {
			best, bestSeq = run, seq
		}
	}
	if best == 0 {
		t.del(bktIDs, base)
		return
	}
	t.del(bktIDs, runKey(base, best))
	t.put(bktIDs, base, lastRunValue(best, bestSeq))
}
