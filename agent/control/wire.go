package control

import (
	"errors"
	"strconv"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// Protocol is the number of the protocol that this version speaks.
const Protocol = 1

const (
	protocolHeader = "Sallyport-Protocol"

	maxBody   = 64 << 10 // of a request
	maxHeader = 16 << 10
	maxAnswer = 64 << 20 // of an answer, the output of a job excepted
	maxID     = 512
	maxNote   = 500
	// MaxJobs is the largest limit of a list of jobs.
	MaxJobs = 10_000

	answerTimeout = 30 * time.Second // for one answer, or one piece of an output
)

// Hello is what an agent says of itself and of its caller.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	PID      int    `json:"pid"`
	Account  string `json:"account"`    // who is calling, as the agent sees it
	Admin    bool   `json:"may_change"` // whether the caller may change something
}

// change is the body of every request that changes something.
type change struct {
	ID    string `json:"id,omitempty"`
	Note  string `json:"note,omitempty"`
	Force bool   `json:"force,omitempty"`
}

// changed is the answer to a change.
type changed struct {
	ID string `json:"id,omitempty"` // of the new run, for a retry
}

type wireError struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Kind       string `json:"kind"`
	Code       string `json:"code,omitempty"`
	Op         string `json:"op,omitempty"`
	Subject    string `json:"subject,omitempty"`
	Message    string `json:"message"`
	Hint       string `json:"hint,omitempty"`
	RetryAfter int64  `json:"retry_after_ms,omitempty"`
}

// The codes below a kind that cross the wire.
const (
	codeNotFound = "not_found"
	codeConflict = "conflict"
)

func sentinel(code string) error {
	switch code {
	case codeNotFound:
		return queue.ErrNotFound
	case codeConflict:
		return queue.ErrConflict
	default:
		return nil
	}
}

// encodeError takes an error apart for the wire.
func encodeError(err error, redact func(string) string) errorBody {
	b := errorBody{
		Kind:       fault.KindOf(err).String(),
		Message:    redact(err.Error()),
		Hint:       redact(fault.HintOf(err)),
		RetryAfter: fault.RetryAfterOf(err).Milliseconds(),
	}
	// Op and subject are only of use when the message can be put together again.
	if e, ok := err.(*fault.Error); ok { //nolint:errorlint // only the outermost has the whole text
		b.Op, b.Subject = redact(e.Op), redact(e.Subject)
		b.Message = ""
		if e.Err != nil {
			b.Message = redact(e.Err.Error())
		}
	}
	for _, code := range []string{codeNotFound, codeConflict} {
		if errors.Is(err, sentinel(code)) {
			b.Code = code
			break
		}
	}
	return b
}

// decodeError is the other way.
func decodeError(b errorBody) error {
	e := fault.New(fault.ParseKind(b.Kind), b.Op, b.Subject, nil).WithHint(b.Hint)
	if b.Message != "" {
		e.Err = &remoteError{text: b.Message, is: sentinel(b.Code)}
	}
	e.RetryAfter = time.Duration(b.RetryAfter) * time.Millisecond
	return e
}

// remoteError is a cause that happened in the agent.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() error { return e.is }

// checkProtocol refuses a side that is further away than one version.
func checkProtocol(header, who string) error {
	n, err := strconv.Atoi(header)
	if err == nil && n >= Protocol-1 && n <= Protocol+1 {
		return nil
	}
	if header == "" {
		header = "none"
	}
	return fault.New(fault.Invalid, "talk to", who, errors.New("it speaks protocol "+header+", this program "+strconv.Itoa(Protocol))).
		WithHint("use the sallyport program of the agent's own version")
}
