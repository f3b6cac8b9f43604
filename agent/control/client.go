package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Client talks to a running agent. Its methods are those of [Agent], each with
// an error, and are safe for concurrent use; `by` is found by the agent itself.
type Client struct {
	path  string
	http  *http.Client
	hello Hello
}

// Dial connects to the agent at path and checks that both understand each
// other. Where no agent answers, the error is fault.Unavailable; where the
// caller may not connect, fault.Denied.
func Dial(ctx context.Context, path string) (*Client, error) {
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
		DisableCompression:     true,
		MaxIdleConns:           2,
		MaxResponseHeaderBytes: maxHeader,
		ResponseHeaderTimeout:  changeWindow + answerTimeout,
	}
	c := &Client{path: path, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if err := c.get(ctx, "/hello", nil, &c.hello); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close lets go of idle connections. Calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Hello returns what the agent said when it was dialed.
func (c *Client) Hello() Hello { return c.hello }

// Status returns the agent on one screen.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/status", nil, &s)
}

// Jobs returns jobs, the newest first.
func (c *Client) Jobs(ctx context.Context, f Filter) (list []Job, err error) {
	q := url.Values{}
	for key, value := range map[string]string{"state": f.State, "result": f.Result, "topic": f.Topic, "instance": f.Instance} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Limit != 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return list, c.get(ctx, "/jobs", q, &list)
}

// Job returns one job. One that the agent does not know gives
// queue.ErrNotFound.
func (c *Client) Job(ctx context.Context, id string) (d Detail, err error) {
	return d, c.get(ctx, "/job", url.Values{"id": {id}}, &d)
}

// Explain tells how the policy judges a job.
func (c *Client) Explain(ctx context.Context, id string) (e Explanation, err error) {
	return e, c.get(ctx, "/explain", url.Values{"id": {id}}, &e)
}

// Output returns the report of a job, or the output so far. A stream that breaks
// off ends with an error other than io.EOF. The caller closes it.
func (c *Client) Output(ctx context.Context, id string) (io.ReadCloser, error) {
	res, err := c.do(ctx, http.MethodGet, "/output", url.Values{"id": {id}}, nil)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Cancel ends a job.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.post(ctx, "/cancel", change{ID: id}, nil)
}

// Approve lets a held job start.
func (c *Client) Approve(ctx context.Context, id string) error {
	return c.post(ctx, "/approve", change{ID: id}, nil)
}

// Retry makes a waiting job due, or a new run of an ended one, whose id it
// returns.
func (c *Client) Retry(ctx context.Context, id string, force bool) (newID string, err error) {
	var a changed
	err = c.post(ctx, "/retry", change{ID: id, Force: force}, &a)
	return a.ID, err
}

// Pause stops intake and the start of jobs.
func (c *Client) Pause(ctx context.Context, note string) error {
	return c.post(ctx, "/pause", change{Note: note}, nil)
}

// Drain stops intake.
func (c *Client) Drain(ctx context.Context, note string) error {
	return c.post(ctx, "/drain", change{Note: note}, nil)
}

// Resume ends a pause or a drain.
func (c *Client) Resume(ctx context.Context) error {
	return c.post(ctx, "/resume", change{}, nil)
}

func (c *Client) get(ctx context.Context, route string, q url.Values, into any) error {
	res, err := c.do(ctx, http.MethodGet, route, q, nil)
	if err != nil {
		return err
	}
	return c.decode(res, into)
}

func (c *Client) post(ctx context.Context, route string, body change, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fault.New(fault.Internal, "encode", "the request", err).WithHint("report this defect")
	}
	res, err := c.do(ctx, http.MethodPost, route, nil, data)
	if err != nil {
		return err
	}
	return c.decode(res, into)
}

// do sends a request and returns the answer when it is none of an error.
func (c *Client) do(ctx context.Context, method, route string, q url.Values, body []byte) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "agent", Path: route, RawQuery: q.Encode()} // the host is never resolved: the transport knows one way
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Internal, "encode", "the request", err).WithHint("report this defect")
	}
	req.Header.Set(protocolHeader, strconv.Itoa(Protocol))
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, method, err)
	}
	if err := checkProtocol(res.Header.Get(protocolHeader), c.path); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	var e wireError
	if err := c.decode(res, &e); err != nil {
		return nil, err
	}
	return nil, decodeError(e.Error)
}

func (c *Client) decode(res *http.Response, into any) error {
	defer res.Body.Close() //nolint:errcheck // it was only read
	if into == nil {
		into = &struct{}{}
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errors.New("it is too large")
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "read the answer of", c.path, err).WithHint("try again; see the agent's log")
	}
	return nil
}

// lost explains a request without an answer.
func (c *Client) lost(ctx context.Context, method string, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	op, opening := errors.AsType[*net.OpError](err)
	opening = opening && op.Op == "dial"
	switch {
	case ctx.Err() != nil:
		return fault.New(fault.KindOf(ctx.Err()), "talk to the agent at", c.path, ctx.Err()).
			WithHint("ask again; a change may have been made")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Denied, "talk to the agent at", c.path, errors.New("this account may not connect")).
			WithHint("run the command as an administrator or as a member of the agent's group")
	case opening || errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Unavailable, "talk to the agent at", c.path, errors.New("no agent answers there")).
			WithHint("start the agent: `sallyport service start`, or `sallyport run`; is --config that of the agent?")
	case method == http.MethodPost:
		return fault.New(fault.Unknown, "talk to the agent at", c.path, err).
			WithHint("look with `sallyport status` whether the change was made")
	default:
		return fault.New(fault.Unavailable, "talk to the agent at", c.path, err).WithHint("try again; see the agent's log")
	}
}
