package report

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Header is one input message without its payload. What is missing (response_to,
// queue, state) follows from the job.
type Header struct {
	Agent      string `json:"agent"`
	Topic      string `json:"topic"`
	Name       string `json:"name,omitempty"`
	Source     string `json:"source,omitempty"`
	Correlator string `json:"correlator,omitempty"`
	Priority   int    `json:"priority"`
	// Slim is the payload that goes inline when the whole one is too large for
	// that: the envelope without the output, which names the attachment. It
	// holds the marker AttachmentMark where the attachment's sys_id belongs.
	Slim string `json:"slim,omitempty"`
}

// AttachmentMark stands in Header.Slim for the sys_id of the attachment.
const AttachmentMark = "{sallyport-attachment}"

const (
	framePart = 'P'
	frameData = 'D'
	frameEnd  = '.'

	mostData   = 64 << 10
	mostHeader = 16 << 20
)

// Writer writes a report. It is not safe for concurrent use.
type Writer struct {
	w    io.Writer
	head [5]byte
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Part begins the next part; what is written next is its payload.
func (w *Writer) Part(h Header) error {
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode report header: %w", err)
	}
	return w.frame(framePart, data)
}

// Write adds payload to the part that was begun.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), mostData)
		if err := w.frame(frameData, p[:n]); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// Close ends the report. It does not close the writer below.
func (w *Writer) Close() error { return w.frame(frameEnd, nil) }

func (w *Writer) frame(kind byte, data []byte) error {
	w.head[0] = kind
	binary.BigEndian.PutUint32(w.head[1:], uint32(len(data)))
	if _, err := w.w.Write(w.head[:]); err != nil {
		return err
	}
	_, err := w.w.Write(data)
	return err
}

// Encode returns the report of one part.
func Encode(h Header, payload string) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(payload) + len(payload)/mostData*5 + len(h.Slim) + 256)
	w := NewWriter(&b)
	if err := w.Part(h); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, payload); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Reader reads a report part by part. It is not safe for concurrent use.
type Reader struct {
	r    io.Reader
	kind byte // of the frame that was begun
	left int  // of that frame
	err  error

	format bool // what was read is no report
}

// NewReader returns a Reader on r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next skips what is left of a part and returns the header of the next one;
// io.EOF after the last. A cut or foreign stream gives fault.Internal.
func (r *Reader) Next() (Header, error) {
	if r.err == nil && r.kind != framePart {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return Header{}, err
		}
	}
	if r.err != nil {
		return Header{}, r.err
	}
	if r.kind == frameEnd {
		return Header{}, io.EOF
	}
	if r.kind != framePart || r.left > mostHeader {
		return Header{}, r.malformed(errors.New("no part where one should begin"))
	}
	data := make([]byte, r.left)
	if _, err := io.ReadFull(r.r, data); err != nil {
		return Header{}, r.broken(err)
	}
	r.kind, r.left = 0, 0
	var h Header
	if err := json.Unmarshal(data, &h); err != nil {
		return Header{}, r.malformed(err)
	}
	return h, nil
}

// Read reads the payload of the current part.
func (r *Reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.kind == frameData && r.left > 0 {
			n, err := r.r.Read(p[:min(len(p), r.left)])
			r.left -= n
			if err != nil && (!errors.Is(err, io.EOF) || r.left > 0) {
				return n, r.broken(err)
			}
			return n, nil
		}
		if r.kind == framePart || r.kind == frameEnd {
			return 0, io.EOF
		}
		r.begin()
	}
	return 0, r.err
}

// begin reads the head of the next frame.
func (r *Reader) begin() {
	var head [5]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		_ = r.broken(err)
		return
	}
	r.kind, r.left = head[0], int(binary.BigEndian.Uint32(head[1:]))
	if r.kind != framePart && r.kind != frameData && r.kind != frameEnd || r.kind == frameData && r.left > mostData {
		_ = r.malformed(fmt.Errorf("frame of type %q and %d bytes", r.kind, r.left))
	}
}

// ErrFormat is in the chain of the error for a stream that is cut or was never a
// report, as against one that cannot be read just now.
var ErrFormat = errors.New("it is cut or no report")

// broken keeps and returns the error of a read, or of what was read.
func (r *Reader) broken(cause error) error {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	if r.format || errors.Is(cause, io.ErrUnexpectedEOF) {
		cause = fmt.Errorf("%w: %w", ErrFormat, cause)
	}
	r.err = fault.New(fault.Internal, "read report", "", cause)
	return r.err
}

// malformed keeps and returns the error of a stream that was read well and holds
// no report.
func (r *Reader) malformed(cause error) error {
	r.format = true
	return r.broken(cause)
}
