package servicenow

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The waits between the tries of a read. What asks for more than retryMost is
// left to the caller, which has other things to do meanwhile.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 10 * time.Second
)

// newReader returns the client for reads, which repeats them.
func newReader(conf *Config, hc *http.Client) *retryablehttp.Client {
	hc.Transport = &tryTimeout{hc.Transport, conf.Timeout}
	r := &retryablehttp.Client{
		HTTPClient: hc, RetryMax: conf.Retries, RetryWaitMin: retryFirst, RetryWaitMax: retryMost,
		CheckRetry: checkRetry, Backoff: backoff,
	}
	if conf.Log.Enabled(context.Background(), slog.LevelDebug) {
		r.Logger = &leveled{conf.Log}
	}
	return r
}

// checkRetry decides by the classified error. It sees an answer first without
// one: then the handler reads and classifies it.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if err == nil {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, err
	}
	if resp == nil {
		f, ours := errors.AsType[*fault.Error](err)
		if ours {
			return f.Kind == fault.Unavailable && f.RetryAfter <= retryMost, err
		}
		return !isCertError(err), err
	}
	switch {
	case fault.KindOf(err) != fault.Unavailable, fault.RetryAfterOf(err) > retryMost,
		errors.Is(err, ErrHibernating), errors.Is(err, ErrRedirect), errors.Is(err, ErrTooLarge):
		return false, err
	}
	return true, err
}

// backoff waits as long as the instance asked for, or a random time below a bound
// that doubles (full jitter, so that agents do not come back together).
func backoff(first, most time.Duration, attempt int, resp *http.Response) time.Duration {
	bound := min(first<<min(attempt, 10), most)
	wait := first/2 + rand.N(bound) //nolint:gosec // no secret depends on it
	if resp != nil {
		wait = max(wait, retryAfter(resp.Header, time.Now))
	}
	return wait
}

// tryTimeout bounds one try, from its beginning to the end of its answer.
type tryTimeout struct {
	next  http.RoundTripper
	limit time.Duration
}

// RoundTrip sends a request under its own timeout.
func (t *tryTimeout) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), t.limit)
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &cancelBody{resp.Body, cancel}
	return resp, nil
}

// leveled writes the library's lines to slog. Its errors are debug lines: who
// made the request gets them too, and decides what they mean.
type leveled struct{ log *slog.Logger }

func (l *leveled) Error(msg string, kv ...any) { l.write(msg, kv) }
func (l *leveled) Warn(msg string, kv ...any)  { l.write(msg, kv) }
func (l *leveled) Info(msg string, kv ...any)  { l.write(msg, kv) }
func (l *leveled) Debug(msg string, kv ...any) { l.write(msg, kv) }

func (l *leveled) write(msg string, kv []any) {
	l.log.Debug("read from instance", append([]any{"event", msg}, kv...)...)
}
