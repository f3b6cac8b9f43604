package servicenow

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// attempt names what is tried, for errors.
type attempt struct {
	op, subject string
	write       bool
}

// open returns the kind of a failure after which a write may or may not have had
// its effect.
func (a attempt) open() fault.Kind {
	if a.write {
		return fault.Unknown
	}
	return fault.Unavailable
}

// transportError classifies a request without an answer.
func (a attempt) transportError(ctx context.Context, t *sentTrace, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && (!a.write || !t.maybeSent(ctx)) {
		return f // of our own login, hold or proxy: surely not sent, and with a hint
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if a.write && t.maybeSent(ctx) {
		return fault.New(fault.Unknown, a.op, a.subject, err).
			WithHint("look whether the instance carried it out before sending it again")
	}
	kind, hint := fault.Unavailable, "check network, DNS, proxy and firewall between this machine and the instance"
	switch {
	case errors.Is(err, context.Canceled):
		kind, hint = fault.Canceled, ""
	case isTimeout(err):
		kind, hint = fault.Timeout, "the instance or the network is slow; raise the timeout if this stays"
	case isCertError(err):
		kind, hint = fault.Denied, "trust the issuer of the instance (or of the TLS inspection) with ca_file"
	}
	return fault.New(kind, a.op, a.subject, err).WithHint(hint)
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

func isCertError(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	return verify || unknown || host
}

// bodyError classifies an answer whose body broke off or was too large.
func (a attempt) bodyError(ctx context.Context, status int, err error) error {
	cause := ErrTruncated
	if errors.Is(err, ErrTooLarge) || errors.Is(err, errJSONSize) || errors.Is(err, errJSONDepth) {
		cause = ErrTooLarge
	}
	kind := a.open()
	if !a.write && ctx.Err() != nil {
		kind = fault.KindOf(ctx.Err())
	}
	return fault.New(kind, a.op, a.subject, &AnswerError{Status: status, Message: clean(err.Error()), Cause: cause}).
		WithHint("the connection or a proxy cuts answers; if it stays, ask for fewer rows")
}

// status classifies the head of an answer, and its body as far as it was read.
// It returns nil for an answer of status 2xx that is neither 202 nor a web page;
// records looks inside.
//
// For a write the statuses 400 to 499 (but 408) are surely not done: the instance
// or what sits before it refused. 202, 408 and 500 to 599 leave it open, a 503
// included: a gateway sends it also when the node behind it went away in the
// middle, and an instance can fail after the insert was committed.
func (a attempt) status(status int, header http.Header, body []byte) error {
	e := &AnswerError{Status: status}
	if status >= 300 && looksLikeJSON(body) {
		// What cannot be parsed has no message; the status speaks.
		if env, err := parseEnvelope(body, 1); err == nil {
			e.Message, e.Detail = clean(env.message), clean(env.detail)
		}
	}
	if status < 400 {
		return a.notAnError(status, header, body, e)
	}
	err := a.refusal(status, header, e)
	err.RetryAfter = retryAfter(header, time.Now)
	return err
}

func (a attempt) fail(kind fault.Kind, e *AnswerError, hint string) *fault.Error {
	return fault.New(kind, a.op, a.subject, e).WithHint(hint)
}

// records reads the rows of an answer of status 2xx. An error in the body is one
// whatever the status says: an instance that cancels a long query has begun to
// stream its 200 by then.
func (a attempt) records(ctx context.Context, r reply, most int) ([]Record, error) {
	env, err := parseEnvelope(r.body, most)
	switch {
	case err == nil && env.failed:
		e := &AnswerError{Status: r.status, Message: clean(env.message), Detail: clean(env.detail), Cause: ErrFailedInside}
		return nil, a.fail(a.open(), e, "look at the transaction log of the instance; a long query needs a smaller limit")
	case err != nil && !looksLikeJSON(r.body):
		e := &AnswerError{Status: r.status, Cause: ErrNotJSON}
		return nil, a.fail(a.open(), e, "check that url is the instance, and that no proxy or portal answers in its place")
	case err != nil:
		return nil, a.bodyError(ctx, r.status, err)
	}
	return env.records, nil
}

// notAnError looks at statuses below 400 that are no success either.
func (a attempt) notAnError(status int, header http.Header, body []byte, e *AnswerError) error {
	page := pageKind(body)
	location := strings.ToLower(header.Get("Location"))
	switch {
	case page == pageHibernating || status >= 300 && strings.Contains(location, "developer.servicenow.com"):
		e.Cause = ErrHibernating
		return a.fail(fault.Unavailable, e, "wake the instance up at https://developer.servicenow.com")
	case page == pageLogin || status >= 300 && isLoginLocation(location):
		e.Cause = ErrLoginPage
		return a.fail(fault.Denied, e, "give the user web service access, and check single sign-on rules for REST requests")
	case status >= 300:
		e.Cause = ErrRedirect
		return a.fail(fault.Unavailable, e, "set url to the address that the instance itself uses")
	case status == http.StatusAccepted:
		e.Cause = ErrAccepted
		return a.fail(a.open(), e, "lower the number of parallel requests if this stays")
	case page == pageHTML:
		e.Cause = ErrNotJSON
		return a.fail(a.open(), e, "check that url is the instance, and that no proxy or portal answers in its place")
	}
	return nil
}

func isLoginLocation(l string) bool {
	for _, mark := range []string{"login", "saml", "sso", "oauth", "auth", "nav_to.do"} {
		if strings.Contains(l, mark) {
			return true
		}
	}
	return false
}

// refusal classifies statuses from 400.
func (a attempt) refusal(status int, header http.Header, e *AnswerError) *fault.Error {
	switch status {
	case http.StatusUnauthorized:
		e.Cause = ErrUnauthorized
		hint := "check user and password, that the user is active and not locked, and that it is allowed to use Basic (web service access only)"
		if strings.EqualFold(header.Get("X-Mfa_token"), "invalid") {
			hint = "the user needs a second factor; take it out of multi-factor authentication or use OAuth"
		}
		return a.fail(fault.Denied, e, hint)
	case http.StatusForbidden:
		e.Cause = ErrForbidden
		return a.fail(fault.Denied, e, forbiddenHint(e))
	case http.StatusNotFound, http.StatusGone:
		e.Cause = ErrNotFound
		return a.fail(fault.Conflict, e, "check that the record exists and that the user may read it")
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked:
		return a.fail(fault.Conflict, e, "look at the record on the instance")
	case http.StatusTooManyRequests:
		e.Cause = ErrRateLimited
		return a.fail(fault.Unavailable, e, "raise the rate limit rule of the instance, or poll less often")
	case http.StatusRequestTimeout:
		return a.fail(a.open(), e, "the connection to the instance is slow")
	case http.StatusRequestEntityTooLarge:
		e.Cause = ErrTooLarge
		return a.fail(fault.Invalid, e, "raise the size limit of the instance or of the proxy before it")
	case http.StatusProxyAuthRequired:
		return a.fail(fault.Denied, e, "check proxy user, password and auth")
	}
	if status >= 500 {
		return a.fail(a.open(), e, "look at the system log of the instance; it may be restarting or in maintenance")
	}
	return a.fail(fault.Invalid, e, "check table, fields and values of the request")
}

func forbiddenHint(e *AnswerError) string {
	text := e.Message + " " + e.Detail
	switch {
	case strings.Contains(text, "Data Policy"):
		return "fill the mandatory fields that the data policy names"
	case strings.Contains(text, "Business Rule"):
		return "look at the business rule that it names"
	case strings.Contains(text, "API level"):
		return "give the user the role that the REST API access control asks for"
	default:
		return "give the agent's user a role with rights on the table (mid_server for ecc_queue)"
	}
}

type page uint8

const (
	pageNone page = iota
	pageHTML
	pageHibernating
	pageLogin
)

// pageKind recognizes web pages by their beginning and a few marks.
func pageKind(body []byte) page {
	head := bytes.TrimLeft(body[:min(len(body), 64<<10)], " \t\r\n\ufeff")
	if len(head) == 0 || head[0] != '<' {
		return pageNone
	}
	lower := bytes.ToLower(head)
	switch {
	case bytes.Contains(lower, []byte("hibernating")):
		return pageHibernating
	case bytes.Contains(lower, []byte("login.do")), bytes.Contains(lower, []byte("user_password")):
		return pageLogin
	default:
		return pageHTML
	}
}

func looksLikeJSON(body []byte) bool {
	head := bytes.TrimLeft(body, " \t\r\n")
	return len(head) > 0 && head[0] == '{'
}

// retryAfter reads Retry-After: seconds or a date (RFC 9110). It is cut to one
// hour, so that an instance cannot silence an agent for good.
func retryAfter(h http.Header, now func() time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil {
		return min(time.Duration(min(max(n, 0), 3600))*time.Second, time.Hour)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now()), 0), time.Hour)
}
