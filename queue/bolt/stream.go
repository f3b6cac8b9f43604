package bolt

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
)

// A body file is sealed in chunks, so that neither writing nor reading needs
// the whole of it in memory (the STREAM construction: the nonce counts chunks
// and marks the last one, so that a file that is cut, extended or reordered is
// found out):
//
//	"SPQ1" · salt (32) · chunks of 64 KiB, each with its tag; the last is shorter or empty
//
// Its key is derived from the state key and the salt; the file's name is
// authenticated with every chunk.
const (
	streamMagic = "SPQ1"
	streamHead  = len(streamMagic) + saltBytes
	chunkBytes  = 64 << 10
	streamInfo  = "sallyport queue file"
)

var errCut = errors.New("the file is cut short or was changed")

func chunkNonce(n uint64, last bool) []byte {
	nonce := binary.BigEndian.AppendUint64(make([]byte, 3, 12), n)
	if last {
		return append(nonce, 1)
	}
	return append(nonce, 0)
}

// streamWriter seals what is written to it; close writes the last chunk.
type streamWriter struct {
	w    io.Writer
	a    cipher.AEAD
	name []byte
	buf  []byte
	out  []byte
	n    uint64
	size int64 // of the body so far
}

func newStreamWriter(w io.Writer, key []byte, name string) (*streamWriter, error) {
	salt := newSalt()
	a, err := deriveAEAD(key, salt, streamInfo)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append([]byte(streamMagic), salt...)); err != nil {
		return nil, err
	}
	return &streamWriter{w: w, a: a, name: []byte(name), buf: make([]byte, 0, chunkBytes)}, nil
}

func (s *streamWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if len(s.buf) == chunkBytes {
			if err := s.flush(false); err != nil {
				return written, err
			}
		}
		n := min(len(p), chunkBytes-len(s.buf))
		s.buf = append(s.buf, p[:n]...)
		p = p[n:]
		written += n
		s.size += int64(n)
	}
	return written, nil
}

func (s *streamWriter) flush(last bool) error {
	s.out = s.a.Seal(s.out[:0], chunkNonce(s.n, last), s.buf, s.name)
	s.n++
	s.buf = s.buf[:0]
	_, err := s.w.Write(s.out)
	return err
}

func (s *streamWriter) close() error { return s.flush(true) }

// streamReader opens what streamWriter sealed, a chunk ahead so that it knows
// the last one.
type streamReader struct {
	r    io.ReadCloser
	a    cipher.AEAD
	name []byte
	next []byte // the sealed chunk that was read ahead
	out  []byte
	rest []byte
	n    uint64
	done bool
	err  error
}

func newStreamReader(r io.ReadCloser, key []byte, name string) (*streamReader, error) {
	head := make([]byte, streamHead)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.HasPrefix(head, []byte(streamMagic)) {
		return nil, errCut
	}
	a, err := deriveAEAD(key, head[len(streamMagic):], streamInfo)
	if err != nil {
		return nil, err
	}
	s := &streamReader{r: r, a: a, name: []byte(name)}
	s.next, err = s.ahead()
	return s, err
}

func (s *streamReader) ahead() ([]byte, error) {
	chunk := make([]byte, chunkBytes+s.a.Overhead())
	n, err := io.ReadFull(s.r, chunk)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return chunk[:n], nil
}

func (s *streamReader) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.done {
			return 0, io.EOF
		}
		s.err = s.advance()
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *streamReader) advance() error {
	following, err := s.ahead()
	if err != nil {
		return err
	}
	last := len(following) == 0
	s.out, err = s.a.Open(s.out[:0], chunkNonce(s.n, last), s.next, s.name)
	if err != nil {
		return errCut
	}
	s.n++
	s.rest, s.next, s.done = s.out, following, last
	return nil
}

func (s *streamReader) Close() error { return s.r.Close() }
