package servicenow

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Causes that callers tell apart with errors.Is. The kind of the fault.Error
// around them says what they mean for a write.
var (
	// ErrNotFound: the record does not exist, or access rules hide it; an instance
	// does not tell which.
	ErrNotFound = errors.New("no such record, or access rules hide it")
	// ErrUnauthorized: the instance refused the login.
	ErrUnauthorized = errors.New("login refused")
	// ErrHeld: the client does not ask at all for a while, because the login was
	// refused before.
	ErrHeld = errors.New("waiting after a refused login")
	// ErrForbidden: logged in, but not allowed.
	ErrForbidden = errors.New("not allowed")
	// ErrHibernating: the developer instance sleeps.
	ErrHibernating = errors.New("the instance is hibernating")
	// ErrLoginPage: a login page or a redirect to one came instead of an answer.
	ErrLoginPage = errors.New("a login page came instead of an answer")
	// ErrRedirect: the instance answered with a redirect, which is not followed.
	ErrRedirect = errors.New("a redirect came instead of an answer")
	// ErrNotJSON: what came is no answer of the REST API.
	ErrNotJSON = errors.New("what came is no answer of the REST API")
	// ErrTruncated: the answer ends in the middle.
	ErrTruncated = errors.New("the answer ends in the middle")
	// ErrTooLarge: the answer, or what was to be sent, is larger than its bound.
	ErrTooLarge = errors.New("larger than the bound")
	// ErrRateLimited: 429, by a rule or because the instance is busy.
	ErrRateLimited = errors.New("the instance wants fewer requests")
	// ErrAccepted: 202; the instance put the request aside and may drop it.
	ErrAccepted = errors.New("the instance put the request aside and may drop it")
	// ErrFailedInside: an error came in an answer of status 2xx.
	ErrFailedInside = errors.New("the answer holds an error")
	// ErrUnserviced: a batch ended before this request.
	ErrUnserviced = errors.New("the batch ended before this request")
	// ErrBatchAnswer: the answer of a batch does not say what became of a request.
	ErrBatchAnswer = errors.New("the answer of the batch does not name this request")
	// ErrFilterDropped: the instance ignored a part of the query.
	ErrFilterDropped = errors.New("the instance ignored a part of the query")
)

// AnswerError is an answer of the instance that is an error. It is found with
// errors.AsType in the chain of what the methods of Client return.
type AnswerError struct {
	Status  int    // HTTP status; 0 inside a batch that had none
	Message string // error.message of the body, cleaned and cut
	Detail  string // error.detail
	Cause   error  // one of the Err values, or nil
}

// Error returns status, cause, message and detail.
func (e *AnswerError) Error() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	for _, t := range []string{e.Message, e.Detail} {
		if t != "" {
			parts = append(parts, t)
		}
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *AnswerError) Unwrap() error { return e.Cause }

// clean makes a text of the instance fit for a log line: one line, printable,
// short.
func clean(s string) string {
	const most = 300
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= most {
			b.WriteString("...")
			break
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// hasCause reports whether an error is an answer of the instance with that cause.
func hasCause(err, cause error) bool {
	e, ok := errors.AsType[*AnswerError](err)
	return ok && errors.Is(e.Cause, cause)
}
