package bolt

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
)

var (
	castagnoli  = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // a constant table
	errChecksum = errors.New("its checksum does not match")
	errDecode   = errors.New("it ends early or holds what cannot be in a record")
)

// place says which index an open job is in.
type place uint8

const (
	nowhere place = iota
	inReady
	inDue
)

// record is what the status bucket holds of an open job: the status, and what
// a transition needs to move the job between the indexes without reading the
// immutable part.
type record struct {
	status queue.Status
	gid    uint32
	place  place
	fin    uint64 // its key in finished; 0: not there
	order  []byte
}

// encoder appends; seal closes a record with a checksum over the bucket's seq
// and the bytes, so that a record under a foreign key is found out too.
type encoder struct{ b []byte }

func (e *encoder) num(n int64)   { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) unum(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) str(s string)  { e.unum(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(s []byte) {
	e.unum(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.b = append(e.b, 0)
		return
	}
	e.b = append(e.b, 1)
	e.num(t.Unix())
	e.unum(uint64(t.Nanosecond()))
}

func (e *encoder) flag(f bool) {
	if f {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) sealed(seq uint64) []byte {
	return binary.BigEndian.AppendUint32(e.b, checksum(seq, e.b))
}

func checksum(seq uint64, b []byte) uint32 {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], seq)
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, b)
}

// decoder reads what encoder wrote; after the first fault it returns zeros and
// keeps the error.
type decoder struct {
	b   []byte
	err error
}

func unsealed(seq uint64, b []byte) decoder {
	if len(b) < 5 {
		return decoder{err: errDecode}
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if checksum(seq, body) != binary.BigEndian.Uint32(sum) {
		return decoder{err: errChecksum}
	}
	return decoder{b: body}
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errDecode
	}
	d.b = nil
}

func (d *decoder) num() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) unum() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bytes() []byte {
	n := d.unum()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) str() string { return string(d.bytes()) }

func (d *decoder) flag() bool {
	if len(d.b) == 0 {
		d.fail()
		return false
	}
	f := d.b[0]
	d.b = d.b[1:]
	if f > 1 {
		d.fail()
	}
	return f == 1
}

func (d *decoder) time() time.Time {
	if !d.flag() {
		return time.Time{}
	}
	seconds, nanos := d.num(), d.unum()
	if d.err != nil || nanos >= 1e9 {
		d.fail()
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) != 0 {
		return errDecode
	}
	return d.err
}

func encodeJob(seq uint64, j *queue.Job) []byte {
	e := encoder{make([]byte, 0, 256)}
	for _, s := range []string{
		j.Instance, j.SysID, j.Agent, j.Topic, j.Name, j.Source, j.Correlator, j.Sequence,
		string(j.Repeats), j.Action, j.Target, j.Lane,
	} {
		e.str(s)
	}
	e.num(int64(j.Run))
	e.num(int64(j.Priority))
	e.time(queue.Normal(j.Created))
	e.time(queue.Normal(j.Received))
	e.flag(j.Adopted)
	e.unum(uint64(j.Pool))
	return e.sealed(seq)
}

func decodeJob(seq uint64, b []byte, j *queue.Job) error {
	d := unsealed(seq, b)
	j.Instance, j.SysID, j.Agent, j.Topic = d.str(), d.str(), d.str(), d.str()
	j.Name, j.Source, j.Correlator, j.Sequence = d.str(), d.str(), d.str(), d.str()
	j.Repeats, j.Action, j.Target, j.Lane = queue.ID(d.str()), d.str(), d.str(), d.str()
	j.Run, j.Priority = int(d.num()), int(d.num())
	j.Created, j.Received = d.time(), d.time()
	j.Adopted = d.flag()
	j.Pool = queue.Pool(d.unum())
	j.ID = queue.NewID(j.Instance, j.SysID, j.Run)
	return d.end()
}

func encodeRecord(seq uint64, r *record) []byte {
	e := encoder{make([]byte, 0, 128+len(r.order))}
	s := &r.status
	e.b = append(e.b, byte(s.State), byte(s.Result), byte(r.place))
	e.num(s.ModCount)
	e.num(int64(s.Attempt))
	e.num(int64(s.Retries))
	e.num(int64(s.Parts))
	for _, t := range []time.Time{s.Changed, s.Started, s.Until, s.Sent} {
		e.time(t)
	}
	e.str(s.Approved)
	e.str(s.Why)
	e.str(s.Report)
	e.unum(uint64(r.gid))
	e.unum(r.fin)
	e.bytes(r.order)
	return e.sealed(seq)
}

// decodeRecord returns a record whose order aliases b.
func decodeRecord(seq uint64, b []byte, r *record) error {
	d := unsealed(seq, b)
	if d.err == nil && len(d.b) < 3 {
		d.fail()
	}
	if d.err != nil {
		return d.err
	}
	s := &r.status
	s.State, s.Result, r.place = queue.State(d.b[0]), queue.Result(d.b[1]), place(d.b[2])
	d.b = d.b[3:]
	s.ModCount, s.Attempt, s.Retries, s.Parts = d.num(), int(d.num()), int(d.num()), int(d.num())
	s.Changed, s.Started, s.Until, s.Sent = d.time(), d.time(), d.time(), d.time()
	s.Approved, s.Why, s.Report = d.str(), d.str(), d.str()
	r.gid, r.fin, r.order = uint32(d.unum()), d.unum(), d.bytes()
	if s.State == 0 || s.State > queue.Released || s.Result > queue.Unknown || r.place > inDue {
		d.fail()
	}
	return d.end()
}

func encodeSlot(s queue.Slot, jobs int64) []byte {
	e := encoder{}
	e.str(s.Instance)
	e.unum(uint64(s.Pool))
	e.str(s.Target)
	e.str(s.Lane)
	e.num(jobs)
	return e.sealed(0)
}

func decodeSlot(b []byte) (s queue.Slot, jobs int64, err error) {
	d := unsealed(0, b)
	s.Instance = d.str()
	s.Pool = queue.Pool(d.unum())
	s.Target, s.Lane = d.str(), d.str()
	jobs = d.num()
	return s, jobs, d.end()
}
