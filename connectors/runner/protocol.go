package runner

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The protocol: frames of a kind byte and a big-endian 32-bit length. The
// client's first frame is its hello, answered by the runner's; after that each
// request is answered before the next is sent. Unknown fields are ignored, and
// what one side cannot do without is a feature that the other must have named,
// so that neighboring versions understand each other.
const (
	protocolNewest = 1
	protocolOldest = 1

	frameJSON = 'J'
	frameData = 'D'

	maxFrame  = 28 << 20 // a Stdin of 16 MiB in base64 and the rest of its Spec
	dataChunk = 128 << 10
	helloName = "sallyport-runner"
)

// The features of this version.
const (
	featureFence  = "fence"
	featureLimits = "limits"
	featureInline = "inline"
	featureForget = "forget" // request.Forget
)

func features() []string { return []string{featureFence, featureLimits, featureInline, featureForget} }

var errProtocol = errors.New("the other side does not speak the runner's protocol")

type hello struct {
	Name     string     `json:"name"`
	Protocol int        `json:"protocol"`     // the newest; in an answer the one that is spoken
	Oldest   int        `json:"protocol_min"` // the oldest that is understood
	Version  string     `json:"version"`
	Features []string   `json:"features,omitempty"`
	Error    *wireError `json:"error,omitempty"`
}

// negotiate returns the newest protocol that both sides speak.
func negotiate(h hello) (int, error) {
	if h.Name != helloName {
		return 0, errProtocol
	}
	both := min(h.Protocol, protocolNewest)
	if both < max(h.Oldest, protocolOldest) {
		return 0, fault.New(fault.Conflict, "talk to runner", h.Version,
			fmt.Errorf("it speaks protocols %d to %d, this one %d to %d", h.Oldest, h.Protocol, protocolOldest, protocolNewest)).
			WithHint("Restart the runner, so that it runs the installed version.")
	}
	return both, nil
}

type operation string

const (
	opStart    operation = "start"
	opLookup   operation = "lookup"
	opWait     operation = "wait"
	opCancel   operation = "cancel"
	opForget   operation = "forget"
	opList     operation = "list"
	opRead     operation = "read"
	opPing     operation = "ping"
	opShutdown operation = "shutdown"
)

type request struct {
	Op      operation     `json:"op"`
	Job     string        `json:"job,omitempty"`
	Attempt int           `json:"attempt,omitempty"`
	Spec    *Spec         `json:"spec,omitempty"`
	Wait    bool          `json:"wait,omitempty"` // start: answer at the end
	Fence   bool          `json:"fence,omitempty"`
	Grace   time.Duration `json:"grace,omitempty"`
	Stream  string        `json:"stream,omitempty"` // read: "out" or "err"
	Offset  int64         `json:"offset,omitempty"`
	// Forget names more jobs to forget before the request is answered. They are
	// those that nobody waits for: an error of theirs is logged by the runner.
	Forget []string `json:"forget,omitempty"`
	// Inline asks for outputs up to this size within the status.
	Inline int64 `json:"inline,omitempty"`
}

type reply struct {
	Error  *wireError `json:"error,omitempty"`
	Status *Status    `json:"status,omitempty"`
	List   []Status   `json:"list,omitempty"`
	Info   *Info      `json:"info,omitempty"`
	// Started is set in the answer to start when this request started the job.
	Started bool `json:"started,omitempty"`
	Done    bool `json:"done,omitempty"`
}

type wireError struct {
	Kind    string `json:"kind"`
	Op      string `json:"op"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"`
}

func toWire(err error) *wireError {
	w := &wireError{Kind: fault.KindOf(err).String(), Hint: fault.HintOf(err), Text: err.Error()}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		w.Op, w.Subject, w.Text = e.Op, e.Subject, ""
		if e.Err != nil {
			w.Text = e.Err.Error()
		}
	}
	return w
}

func (w *wireError) err() error {
	e := fault.New(fault.ParseKind(w.Kind), w.Op, w.Subject, nil).WithHint(w.Hint)
	if w.Text != "" {
		e.Err = errors.New(w.Text)
	}
	return e
}

func writeFrame(w io.Writer, kind byte, body []byte) error {
	frame := make([]byte, 5, 5+len(body))
	frame[0] = kind
	binary.BigEndian.PutUint32(frame[1:], uint32(len(body)))
	_, err := w.Write(append(frame, body...))
	return err
}

func writeJSON(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fault.New(fault.Invalid, "talk to runner", "", errors.New("the message is too large"))
	}
	return writeFrame(w, frameJSON, body)
}

// readFrame reads one frame. It allocates no more than arrives.
func readFrame(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	if size > maxFrame || !slices.Contains([]byte{frameJSON, frameData}, head[0]) {
		return 0, nil, errProtocol
	}
	var b bytes.Buffer
	b.Grow(int(min(size, dataChunk)))
	if n, err := io.CopyN(&b, r, size); err != nil {
		if n < size && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return head[0], b.Bytes(), nil
}

func readJSON(r io.Reader, into any) error {
	kind, body, err := readFrame(r)
	if err != nil {
		return err
	}
	if kind != frameJSON {
		return errProtocol
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.Join(errProtocol, err)
	}
	return nil
}
