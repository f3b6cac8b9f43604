package simulator

import (
	"bytes"
	"net/http"
	"strconv"
)

// cutHeader marks, inside the simulator only, a reply that is to be truncated.
const cutHeader = "Simulator-Cut"

// withFaults runs do under the first rule that hits the call. A connection is
// cut by panicking with http.ErrAbortHandler, which net/http and Transport both
// understand.
func (in *Instance) withFaults(c *call, do func() *reply) *reply {
	f := in.faults.pick(c)
	if f == nil {
		return do()
	}
	in.wait(f.Latency)
	if out := f.before(c, in); out != nil {
		return out
	}
	switch f.Effect {
	case CutBefore:
		panic(http.ErrAbortHandler)
	case CutLate:
		in.after(f.Late, func() {
			defer lateCut()
			do()
		})
		panic(http.ErrAbortHandler)
	default:
	}
	return f.afterEffect(c, do())
}

// lateCut ends what happens after a connection was cut where an item of a batch
// is to be cut once more: there is nobody left to notice.
func lateCut() {
	if v := recover(); v != nil && v != any(http.ErrAbortHandler) {
		panic(v)
	}
}

// before is the answer of an effect that keeps the request from happening.
func (f *Fault) before(c *call, in *Instance) *reply {
	switch f.Effect {
	case FailBefore:
		return internalError(f.statusOr(http.StatusInternalServerError))
	case Unauthorized:
		return unauthenticated().set("X-Is-Logged-In", "false")
	case RateLimit:
		return f.rateLimited(in)
	case Semaphore:
		return plain(http.StatusTooManyRequests)
	case Unavailable:
		return plain(f.statusOr(http.StatusServiceUnavailable))
	case TooLarge:
		return plain(http.StatusRequestEntityTooLarge)
	case BadRequest:
		return failure(http.StatusBadRequest, "Exception while reading request", "Cannot decode: null")
	case AcceptedDropped:
		return &reply{code: http.StatusAccepted}
	case Hibernate:
		return htmlReply(http.StatusOK, `<!DOCTYPE html><html><head><title>Instance Hibernating page</title></head>`+
			`<body class="instance-hibernating-page"><h1>Your instance is hibernating</h1></body></html>`)
	case LoginRedirect:
		return (&reply{code: http.StatusFound}).set("Location", c.origin+"/login.do")
	case LoginPage:
		return loginPage()
	default:
		return nil
	}
}

func (f *Fault) rateLimited(in *Instance) *reply {
	wait := f.RetryAfter
	if wait == 0 {
		wait = 60
	}
	reset := in.opt.Now().Unix() + int64(wait)
	return failure(http.StatusTooManyRequests, "Rate limit exceeded", "Rate limit of 100 requests per hour for Table API exceeded").
		set("Retry-After", strconv.Itoa(wait)).
		set("X-RateLimit-Limit", "100").
		set("X-RateLimit-Reset", strconv.FormatInt(reset, 10)).
		set("X-RateLimit-Rule", "0123456789abcdef0123456789abcdef")
}

func internalError(code int) *reply {
	return failure(code, "Exception while executing request: null",
		"Check logs for error trace or enable glide.rest.debug property to verify REST request processing")
}

// afterEffect turns the true answer into what the client gets.
func (f *Fault) afterEffect(c *call, out *reply) *reply {
	switch f.Effect {
	case FailAfter:
		return internalError(f.statusOr(http.StatusInternalServerError))
	case AcceptedDone:
		return &reply{code: http.StatusAccepted}
	case CutAfter:
		panic(http.ErrAbortHandler)
	case Truncate:
		if c.batch {
			out.body = out.body[:len(out.body)/2] // an item cannot cut the connection of its batch
			return out
		}
		return out.set(cutHeader, "1")
	case MaxExecution:
		return cancelledQuery(out)
	default:
		return out
	}
}

// cancelledQuery ends a result that has begun to stream with an error: the
// status is 200 all the same.
func cancelledQuery(out *reply) *reply {
	const text = "Transaction cancelled: maximum execution time exceeded"
	tail := errorMembers(text, text+" Check logs for error trace or enable glide.rest.debug property to verify REST request processing")
	body := out.body
	if end := bytes.LastIndexByte(body, '}'); out.code == http.StatusOK && end > 0 {
		body = append(append(append(bytes.Clone(body[:end]), ','), tail...), '}')
	} else {
		body = append(append([]byte{'{'}, tail...), '}')
	}
	return jsonReply(http.StatusOK, body)
}
