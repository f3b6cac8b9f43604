package bolt

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/queue"
)

// FuzzRecords reads whatever bytes a broken disk may hold: it must not panic,
// and what it accepts must be written again as it was.
func FuzzRecords(f *testing.F) {
	e := testEntry(1, nil)
	f.Add(uint64(1), encodeJob(1, &e.Job))
	f.Add(uint64(1), encodeRecord(1, &record{status: queue.Status{State: queue.Held, Until: day0, Why: "w"}, order: []byte("o")}))
	f.Add(uint64(0), encodeSlot(queue.Slot{Instance: "prod", Lane: "l"}, 3))
	f.Fuzz(func(t *testing.T, seq uint64, b []byte) {
		for _, raw := range [][]byte{b, (&encoder{b: append([]byte(nil), b...)}).sealed(seq)} {
			var j, j2 queue.Job
			if decodeJob(seq, raw, &j) == nil {
				if err := decodeJob(seq, encodeJob(seq, &j), &j2); err != nil || !cmp.Equal(j, j2) {
					t.Errorf("job: %v %s", err, cmp.Diff(j, j2))
				}
			}
			var r, r2 record
			if decodeRecord(seq, raw, &r) == nil {
				if err := decodeRecord(seq, encodeRecord(seq, &r), &r2); err != nil || !cmp.Equal(r.status, r2.status) {
					t.Errorf("record: %v %s", err, cmp.Diff(r.status, r2.status))
				}
			}
			_, _, _ = decodeSlot(raw)
			_ = decodeDone(seq, raw, &r, &j)
			_, _ = decodeCounters(raw)
		}
	})
}

func TestARecordUnderAForeignKeyIsFoundOut(t *testing.T) {
	t.Parallel()
	e := testEntry(1, nil)
	var j queue.Job
	if err := decodeJob(2, encodeJob(1, &e.Job), &j); err == nil {
		t.Error("the record of job 1 was read as that of job 2")
	}
}
