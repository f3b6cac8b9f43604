package servicenow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// call is one request to the instance.
type call struct {
	attempt
	method  string
	path    string // with encoded query, below the base path
	body    []byte
	open    func() (io.ReadCloser, error) // a streamed body instead of body
	size    int64                         // of the streamed body; -1 when unknown
	kind    string                        // content type of the body
	timeout time.Duration
}

// reply is a complete answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a call and returns its answer, which has a status of 2xx other than
// 202 and no web page for a body. Reads are repeated, writes are not.
func (c *Client) do(ctx context.Context, k call) (reply, error) {
	ctx, done, err := c.begin(ctx, k.attempt)
	if err != nil {
		return reply{}, err
	}
	defer done()
	if !k.write {
		return c.read(ctx, k)
	}
	return c.write(ctx, k)
}

// begin waits for a session and returns a context that carries it.
func (c *Client) begin(ctx context.Context, a attempt) (context.Context, func(), error) {
	if err := c.hold.check(a); err != nil {
		return nil, nil, err
	}
	s, err := c.sessions.take(ctx)
	if err != nil {
		return nil, nil, a.transportError(ctx, &sentTrace{}, err)
	}
	return context.WithValue(ctx, sessionKey{}, s), func() { c.sessions.put(s) }, nil
}

func (c *Client) timeout(k call) time.Duration {
	if k.timeout > 0 {
		return k.timeout
	}
	return c.conf.Timeout
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	var body io.Reader
	if k.body != nil {
		body = bytes.NewReader(k.body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, c.address(k.path), body)
	if err != nil {
		return nil, fault.New(fault.Internal, k.op, k.subject, err)
	}
	if k.open != nil {
		if req.Body, err = k.open(); err != nil {
			return nil, fault.New(fault.KindOf(err), k.op, k.subject, fmt.Errorf("read what is to be sent: %w", err)).
				WithHint("check the file")
		}
		req.GetBody, req.ContentLength = k.open, k.size
	}
	req.Header.Set("Accept", "application/json")
	if k.kind != "" {
		req.Header.Set("Content-Type", k.kind)
	}
	return req, nil
}

func (c *Client) address(path string) string {
	return c.base.Scheme + "://" + c.base.Host + c.base.Path + path
}

// write sends a call once.
func (c *Client) write(ctx context.Context, k call) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout(k))
	defer cancel()
	ctx, sent := watch(ctx)
	req, err := c.request(ctx, k)
	if err != nil {
		return reply{}, err
	}
	resp, err := c.writes.Do(req) //nolint:bodyclose // take closes it
	if err != nil {
		return reply{}, k.transportError(ctx, sent, unwrapURL(err))
	}
	return k.take(ctx, resp, c.conf.MaxAnswer)
}

// read sends a call until it is answered, its retries are used up or ctx ends.
// Each try has the timeout to itself.
func (c *Client) read(ctx context.Context, k call) (reply, error) {
	var answer reply
	req, err := c.request(ctx, k)
	if err != nil {
		return reply{}, err
	}
	rr, err := retryablehttp.FromRequest(req)
	if err != nil {
		return reply{}, fault.New(fault.Internal, k.op, k.subject, err)
	}
	rr.SetResponseHandler(func(resp *http.Response) error {
		var err error
		answer, err = k.take(ctx, resp, c.conf.MaxAnswer)
		return err
	})
	// The answer's body is read and closed by the handler.
	resp, err := c.reads.Do(rr)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err == nil {
		return answer, nil
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return reply{}, f
	}
	return reply{}, k.transportError(ctx, &sentTrace{}, unwrapURL(err))
}

// take reads an answer up to a bound and classifies it.
func (a attempt) take(ctx context.Context, resp *http.Response, most int64) (reply, error) {
	defer func() { _ = resp.Body.Close() }()
	body, err := readBounded(resp.Body, resp.ContentLength, most)
	if resp.StatusCode >= 300 {
		// The status decides; a body that broke off only lacks words.
		return reply{}, a.status(resp.StatusCode, resp.Header, body)
	}
	if err != nil {
		return reply{}, a.bodyError(ctx, resp.StatusCode, err)
	}
	if err := a.status(resp.StatusCode, resp.Header, body); err != nil {
		return reply{}, err
	}
	if looksLikeJSON(body) && !bytes.HasSuffix(bytes.TrimRight(body, " \t\r\n"), []byte("}")) {
		// An answer without a length ends where the connection does. Seen here, a
		// read is repeated.
		return reply{}, a.bodyError(ctx, resp.StatusCode, errJSONEnd)
	}
	return reply{resp.StatusCode, resp.Header, body}, nil
}

// readBounded reads all of a body, and fails as soon as it is larger than most.
func readBounded(r io.Reader, length, most int64) ([]byte, error) {
	var b bytes.Buffer
	if length > 0 && length <= min(most, 1<<20) {
		b.Grow(int(length) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(r, most+1))
	if err != nil {
		return b.Bytes(), err
	}
	if n > most {
		return b.Bytes(), fmt.Errorf("%w of %d bytes", ErrTooLarge, most)
	}
	return b.Bytes(), nil
}

// unwrapURL drops the method and address that net/http puts before an error: the
// query may be long, and our own errors name the subject.
func unwrapURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
