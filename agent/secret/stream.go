package secret

import (
	"io"
	"sync"
)

// stream redacts text that comes in chunks. It holds back only what could be
// the beginning of a secret.
type stream struct {
	redactor *Redactor
	held     []byte
	// masked counts the bytes at the start of held that belong to a match whose
	// mask is written already.
	masked int
}

// feed returns what may leave after a chunk; with last, all of it.
func (s *stream) feed(chunk []byte, last bool) []byte {
	s.held = append(s.held, chunk...)
	m := s.redactor.matcher()
	if m == nil {
		out := s.held[s.masked:]
		s.held, s.masked = nil, 0
		return out
	}
	cut := len(s.held)
	if !last {
		cut = m.pending(s.held)
		// The neighbour before a base64 secret is masked with it.
		if cut > 0 && isBase64(s.held[cut-1]) {
			cut--
		}
	}
	found := find(m, s.held)
	if s.masked > 0 {
		found = merge(append(found, span{0, s.masked}))
	}
	out := make([]byte, 0, cut)
	at, carry := 0, 0
	for _, f := range found {
		continued := f.from == 0 && s.masked > 0 // its mask is written
		if f.from >= cut && !continued {
			break // not decided yet; found again with the next chunk
		}
		out = append(out, s.held[at:f.from]...)
		if !continued {
			out = append(out, Mask...)
		}
		at = f.to
		if f.to > cut {
			at, carry = cut, f.to-cut
		}
	}
	if at < cut {
		out = append(out, s.held[at:cut]...)
	}
	s.held = append([]byte(nil), s.held[cut:]...)
	s.masked = carry
	return out
}

// Writer redacts what is written through it, also a secret that is split over
// several writes. Text that could be the beginning of a secret is held back
// until more is written or Close is called; whole lines are not held back. It
// is safe for concurrent use.
type Writer struct {
	mu sync.Mutex
	s  stream
	w  io.Writer
}

// NewWriter returns a writer that redacts and writes to w.
func (r *Redactor) NewWriter(w io.Writer) *Writer {
	return &Writer{s: stream{redactor: r}, w: w}
}

// Write takes all of p, or none where w refuses. A failed write of w loses what
// it did not take, as with any writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.emit(w.s.feed(p, false)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back. It does not close the writer below.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.emit(w.s.feed(nil, true))
}

func (w *Writer) emit(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	_, err := w.w.Write(out)
	return err
}

// NewReader returns a reader of what src holds, redacted. It is not safe for
// concurrent use.
func (r *Redactor) NewReader(src io.Reader) io.Reader {
	return &reader{s: stream{redactor: r}, src: src, buf: make([]byte, 32<<10)}
}

type reader struct {
	s   stream
	src io.Reader
	buf []byte
	out []byte
	err error
}

// Read implements io.Reader. An error of the source comes after all that was
// read before it.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.src.Read(r.buf)
		r.err = err
		r.out = r.s.feed(r.buf[:n], err != nil)
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}
