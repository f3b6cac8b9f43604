package bolt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// fileNameBytes is the length of a body file's name: 16 random bytes in hex.
const fileNameBytes = 32

// The first byte of a value in the bodies bucket; it is authenticated with it.
const (
	headInline byte = 1
	headFile   byte = 2
)

// fileRef is what is sealed where the body itself is in a file.
type fileRef struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// prepared is a body ready to be referred to by a transaction: sealed, and its
// file, if it has one, durable.
type prepared struct {
	value []byte
	file  fileRef // no name: inline
}

// prepare seals a body outside of the writer, so that callers do it in parallel.
func (s *Store) prepareBody(id queue.ID, part queue.Part, body []byte) (prepared, error) {
	if len(body) <= inlineBytes {
		v, err := s.seal.seal(headInline, id, part, body)
		return prepared{value: v}, err
	}
	name, err := s.files.write(body)
	if err != nil {
		return prepared{}, ioFault("write body", string(id), err)
	}
	p, err := s.prepareFile(id, part, fileRef{name, int64(len(body))})
	if err != nil {
		_ = s.files.remove(name) // the first error is the one to tell
	}
	return p, err
}

func (s *Store) prepareFile(id queue.ID, part queue.Part, ref fileRef) (prepared, error) {
	b, err := json.Marshal(ref)
	if err != nil {
		return prepared{}, fmt.Errorf("encode file reference: %w", err)
	}
	v, err := s.seal.seal(headFile, id, part, b)
	return prepared{append(append([]byte{headFile}, ref.Name...), v...), ref}, err
}

// discard removes the files of bodies that no transaction will refer to.
func (s *Store) discard(bodies []prepared) {
	for _, b := range bodies {
		if b.file.Name != "" {
			_ = s.files.remove(b.file.Name) // an orphan is removed at the next opening
		}
	}
}

// setBody stores a prepared body and forgets the one before.
func (t *txn) setBody(seq uint64, part queue.Part, p prepared) {
	key := bodyKey(seq, part)
	if part == queue.Saved { // the only part that is written twice
		t.dropBody(seq, part)
	}
	t.put(bktBodies, key, p.value)
	if p.file.Name != "" {
		t.put(bktFiles, []byte(p.file.Name), append(key, encodeSize(p.file.Size)...))
		t.n.FileBytes += p.file.Size
	}
}

func encodeSize(n int64) []byte {
	e := encoder{}
	e.num(n)
	return e.b
}

// dropBody forgets a body, and has its file removed after the commit.
func (t *txn) dropBody(seq uint64, part queue.Part) {
	key := bodyKey(seq, part)
	v := t.bucket(bktBodies).Get(key)
	if v == nil {
		return
	}
	t.dropFile(v)
	t.del(bktBodies, key)
}

// dropFile forgets the file of a body, whose name is in front of its sealed
// reference.
func (t *txn) dropFile(value []byte) {
	name, _, ok := splitFile(value)
	if !ok {
		return
	}
	if v := t.bucket(bktFiles).Get([]byte(name)); len(v) > 9 {
		d := decoder{b: v[9:]}
		t.n.FileBytes -= d.num()
	}
	t.removes = append(t.removes, name)
	t.del(bktFiles, []byte(name))
}

// splitFile parts the value of a body in a file into the file's name and the
// sealed reference.
func splitFile(v []byte) (name string, sealed []byte, ok bool) {
	if len(v) < 1+fileNameBytes || v[0] != headFile {
		return "", nil, false
	}
	return string(v[1 : 1+fileNameBytes]), v[1+fileNameBytes:], true
}

// spool is a body that is written piece by piece into a file.
type spool struct {
	s    *Store
	w    *bodyWriter
	done bool
}

// spooled is a durable file that waits to be referred to.
type spooled struct {
	s    *Store
	ref  fileRef
	used atomic.Bool
}

// Spool opens a new body for an outcome that is too large for memory.
func (s *Store) Spool(ctx context.Context) (queue.Spool, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fault.New(fault.Canceled, "spool", "", err)
	}
	if s.writer.isClosed() {
		return nil, closed("spool")
	}
	w, err := s.files.create()
	if err != nil {
		return nil, ioFault("spool", s.files.dir, err)
	}
	return &spool{s: s, w: w}, nil
}

// Write adds to the body. After Done or Discard it gives fault.Invalid.
func (p *spool) Write(b []byte) (int, error) {
	if p.done {
		return 0, fault.New(fault.Invalid, "write spool", "", io.ErrClosedPipe)
	}
	n, err := p.w.w.Write(b)
	if err != nil {
		return n, ioFault("write spool", p.s.files.dir, err)
	}
	return n, nil
}

// Done makes the body durable.
func (p *spool) Done() (queue.Spooled, error) {
	if p.done {
		return nil, fault.New(fault.Invalid, "finish spool", "", io.ErrClosedPipe)
	}
	p.done = true
	size := p.w.w.size
	if err := p.w.finish(); err != nil {
		return nil, ioFault("finish spool", p.s.files.dir, err)
	}
	return &spooled{s: p.s, ref: fileRef{p.w.name, size}}, nil
}

// Discard removes what was written, unless Done came before.
func (p *spool) Discard() error {
	if p.done {
		return nil
	}
	p.done = true
	if err := p.w.discard(); err != nil {
		return ioFault("discard spool", p.s.files.dir, err)
	}
	return nil
}

// Size returns how many bytes were written.
func (p *spooled) Size() int64 { return p.ref.Size }
