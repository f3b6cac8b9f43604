package fault

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Error is an error that a person can act upon.
//
// Its text is "op subject: cause". The hint is not part of the text: whoever
// shows the error to a person prints it on a line of its own.
type Error struct {
	Kind    Kind
	Op      string // what failed, as a verb phrase: "read", "claim", "open queue"
	Subject string // on what: a path, an instance, a job id
	Hint    string // what to do next, as one imperative sentence
	Err     error  // the cause
	// RetryAfter is the wait that the other side asked for; 0 when it did not.
	RetryAfter time.Duration
}

// Error returns "op subject: cause" without the parts that are empty.
func (e *Error) Error() string {
	head := strings.TrimSpace(e.Op + " " + e.Subject)
	switch {
	case e.Err == nil && head == "":
		return e.Kind.String() + " error"
	case e.Err == nil:
		return head
	case head == "":
		return e.Err.Error()
	default:
		return head + ": " + e.Err.Error()
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of a kind. The cause may be nil where op and subject
// say everything.
func New(kind Kind, op, subject string, cause error) *Error {
	return &Error{Kind: kind, Op: op, Subject: subject, Err: cause}
}

// WithHint sets the hint and returns the error, for use in a return statement.
func (e *Error) WithHint(hint string) *Error {
	e.Hint = hint
	return e
}

// KindOf returns the kind of the outermost [*Error] in the tree of err. An
// error without one is Canceled or Timeout where it wraps the context's errors,
// and otherwise Internal. KindOf(nil) is Internal: ask for nil first.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	default:
		return Internal
	}
}

// HintOf returns the first hint in the chain of err, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// RetryAfterOf returns the first wait in the chain of err that the other side
// asked for, or 0.
func RetryAfterOf(err error) time.Duration {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return 0
		}
		if e.RetryAfter > 0 {
			return e.RetryAfter
		}
		err = e.Err
	}
	return 0
}
