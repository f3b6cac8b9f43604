package runner

import (
	"errors"
	"io"
	"os"
	"sync"
)

// Output is one output stream of an ended job.
type Output struct {
	// Kept and Dropped count bytes; what was dropped followed what was kept.
	Kept    int64 `json:"kept"`
	Dropped int64 `json:"dropped,omitempty"`
	// Cut says why bytes were dropped, "" when none were.
	Cut string `json:"cut,omitempty"`
	// Inline is the whole of what was kept where it is small and was asked for.
	Inline []byte `json:"inline,omitempty"`

	job     string
	attempt int
	stream  string
	client  *Client
}

// The reasons why output was cut.
const (
	CutBound = "output limit"
	CutDisk  = "disk error"
)

// Truncated reports that the stream is not complete.
func (o *Output) Truncated() bool { return o.Dropped > 0 }

// capture copies a stream into a file up to a bound and drains the rest, so
// that the writer is never blocked or killed by it. The file exists only when
// there was output.
type capture struct {
	path    string
	bound   int64
	out     Output
	buffers *buffers
}

func (c *capture) run(r *os.File) {
	defer r.Close() //nolint:errcheck // read only
	var f *os.File
	defer func() {
		if f == nil {
			return
		}
		if err := f.Close(); err != nil && c.out.Cut == "" {
			c.out.Cut = CutDisk
		}
	}()
	buf := c.buffers.get()
	defer c.buffers.put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			f = c.take(f, buf[:n])
		}
		if err != nil { // the end, or closed on purpose
			return
		}
	}
}

func (c *capture) take(f *os.File, data []byte) *os.File {
	keep := data
	if room := c.bound - c.out.Kept; int64(len(keep)) > room {
		keep = keep[:room]
	}
	if c.out.Cut != "" {
		keep = nil
	}
	if f == nil && len(keep) > 0 {
		var err error
		if f, err = os.OpenFile(c.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			f, keep, c.out.Cut = nil, nil, CutDisk
		}
	}
	if len(keep) > 0 {
		n, err := f.Write(keep)
		c.out.Kept += int64(n)
		if err != nil {
			c.out.Cut = CutDisk
		}
		keep = keep[:n]
	}
	if dropped := len(data) - len(keep); dropped > 0 {
		c.out.Dropped += int64(dropped)
		if c.out.Cut == "" {
			c.out.Cut = CutBound
		}
	}
	return f
}

// readStored reads a part of a stored stream, or all of it for a small one.
func readStored(path string, offset, size int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, size), f}, nil
}

// buffers are lent to those that copy output: most jobs need one for a moment.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[32 << 10]byte {
	if buf, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buf
	}
	return new([32 << 10]byte)
}

func (b *buffers) put(buf *[32 << 10]byte) { b.pool.Put(buf) }
