package servicenow_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

type row struct {
	name        string
	status      int
	header      map[string]string
	body        string
	read, write fault.Kind
	cause       error
}

const unauth = `{"error":{"message":"User Not Authenticated","detail":"Required to provide Auth information"},"status":"failure"}`

func failure(message, detail string) string {
	return jsonText(map[string]any{"error": map[string]any{"message": message, "detail": detail}, "status": "failure"})
}

// answerRows is every answer that an instance, or what sits before it, is known
// to give instead of a result.
func answerRows() []row {
	tooLong := failure("Transaction cancelled: maximum execution time exceeded", "Check logs for error trace")
	return []row{
		{"not authenticated", 401, nil, unauth, fault.Denied, fault.Denied, servicenow.ErrUnauthorized},
		{"second factor", 401, map[string]string{"X-MFA_TOKEN": "invalid"}, unauth, fault.Denied, fault.Denied, servicenow.ErrUnauthorized},
		{"invalid table", 400, nil, `{"error":{"message":"Invalid table x","detail":null},"status":"failure"}`, fault.Invalid, fault.Invalid, nil},
		{"no resource", 400, nil, failure("Requested URI does not represent any resource", "/x"), fault.Invalid, fault.Invalid, nil},
		{"bad JSON", 400, nil, failure("Exception while reading request", "Unexpected"), fault.Invalid, fault.Invalid, nil},
		{"ACL", 403, nil, failure("Operation Failed", "ACL Exception Insert Failed due to security constraints"), fault.Denied, fault.Denied, servicenow.ErrForbidden},
		{"business rule", 403, nil, failure("Operation Failed", "Operation against file 'incident' was aborted by Business Rule 'x^1'"), fault.Denied, fault.Denied, servicenow.ErrForbidden},
		{"data policy", 403, nil, failure("Operation Failed", "Data Policy Exception: fields are mandatory: Close notes"), fault.Denied, fault.Denied, servicenow.ErrForbidden},
		{"API ACL", 403, nil, failure("User Not Authorized", "Failed API level ACL Validation"), fault.Denied, fault.Denied, servicenow.ErrForbidden},
		{"no record", 404, nil, failure("No Record found", "Record doesn't exist or ACL restricts the record retrieval"), fault.Conflict, fault.Conflict, servicenow.ErrNotFound},
		{"method", 405, nil, failure("Method not supported", ""), fault.Invalid, fault.Invalid, nil},
		{"accept", 406, nil, "", fault.Invalid, fault.Invalid, nil},
		{"request timeout", 408, nil, "", fault.Unavailable, fault.Unknown, nil},
		{"too large", 413, nil, "<html>413</html>", fault.Invalid, fault.Invalid, servicenow.ErrTooLarge},
		{"type", 415, nil, "", fault.Invalid, fault.Invalid, nil},
		{"rate rule", 429, map[string]string{"Retry-After": "30"}, failure("Rate limit exceeded", "Rate limit of 100 requests"), fault.Unavailable, fault.Unavailable, servicenow.ErrRateLimited},
		{"semaphore 429", 429, nil, "<html><body>Too Many Requests</body></html>", fault.Unavailable, fault.Unavailable, servicenow.ErrRateLimited},
		{"exception", 500, nil, failure("Exception while executing request: null", "Check logs"), fault.Unavailable, fault.Unknown, nil},
		{"canceled 500", 500, nil, tooLong, fault.Unavailable, fault.Unknown, nil},
		{"bad gateway", 502, nil, "<html>502</html>", fault.Unavailable, fault.Unknown, nil},
		{"maintenance", 503, nil, "<html>down</html>", fault.Unavailable, fault.Unknown, nil},
		{"gateway timeout", 504, nil, "", fault.Unavailable, fault.Unknown, nil},
		{"accepted", 202, nil, "", fault.Unavailable, fault.Unknown, servicenow.ErrAccepted},
		{"canceled 200", 200, nil, tooLong, fault.Unavailable, fault.Unknown, servicenow.ErrFailedInside},
		{"canceled 200 beside rows", 200, nil, `{"result":[{"sys_id":"a"}],"error":{"message":"Transaction cancelled: maximum execution time exceeded","detail":""},"status":"failure"}`, fault.Unavailable, fault.Unknown, servicenow.ErrFailedInside},
		{"status failure alone", 201, nil, `{"result":{"sys_id":"a"},"status":"failure"}`, fault.Unavailable, fault.Unknown, servicenow.ErrFailedInside},
		{"cut JSON", 200, nil, `{"result":{"sys_id":"a"`, fault.Unavailable, fault.Unknown, servicenow.ErrTruncated},
		{"no JSON", 200, nil, `hello`, fault.Unavailable, fault.Unknown, servicenow.ErrNotJSON},
		{"empty", 200, nil, ``, fault.Unavailable, fault.Unknown, servicenow.ErrNotJSON},
		{"hibernating", 200, nil, `<html><title>Instance Hibernating page</title></html>`, fault.Unavailable, fault.Unavailable, servicenow.ErrHibernating},
		{"hibernating redirect", 302, map[string]string{"Location": "https://developer.servicenow.com/dev.do#!/home?wu=true"}, "", fault.Unavailable, fault.Unavailable, servicenow.ErrHibernating},
		{"login page", 200, nil, `<html><form action="/login.do"><input name="user_password"></form></html>`, fault.Denied, fault.Denied, servicenow.ErrLoginPage},
		{"login redirect", 302, map[string]string{"Location": "/login.do"}, "", fault.Denied, fault.Denied, servicenow.ErrLoginPage},
		{"identity provider", 302, map[string]string{"Location": "https://idp.example.com/saml2/x"}, "", fault.Denied, fault.Denied, servicenow.ErrLoginPage},
		{"elsewhere", 301, map[string]string{"Location": "https://other.example.com/x"}, "", fault.Unavailable, fault.Unavailable, servicenow.ErrRedirect},
		{"a portal", 200, nil, `<html>welcome</html>`, fault.Unavailable, fault.Unknown, servicenow.ErrNotJSON},
	}
}

func TestEveryAnswerHasItsKindForReadsAndWrites(t *testing.T) {
	t.Parallel()
	for _, r := range answerRows() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			h := func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range r.header {
					w.Header().Set(k, v)
				}
				answer(w, r.status, r.body)
			}
			ctx := t.Context()
			_, readErr := serve(t, h).Get(ctx, "incident", "abc")
			_, writeErr := serve(t, h).Insert(ctx, "incident", servicenow.Record{"a": "b"})
			for what, c := range map[string]struct {
				err  error
				want fault.Kind
			}{"read": {readErr, r.read}, "write": {writeErr, r.write}} {
				if c.err == nil {
					t.Fatalf("%s succeeded", what)
				}
				if got := fault.KindOf(c.err); got != c.want {
					t.Errorf("%s is %v, want %v: %v", what, got, c.want, c.err)
				}
				if r.cause != nil && !errors.Is(c.err, r.cause) {
					t.Errorf("%s: cause %v is missing in: %v", what, r.cause, c.err)
				}
				if fault.HintOf(c.err) == "" {
					t.Errorf("%s has no hint: %v", what, c.err)
				}
			}
			if r.header["Retry-After"] == "30" && fault.RetryAfterOf(writeErr) != 30*time.Second {
				t.Errorf("Retry-After is lost: %v", fault.RetryAfterOf(writeErr))
			}
		})
	}
}

func TestRedirectIsNeverFollowed(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("credentials %q went elsewhere", r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/x", http.StatusTemporaryRedirect)
	})
	if _, err := c.Get(t.Context(), "incident", "abc"); !errors.Is(err, servicenow.ErrRedirect) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Insert(t.Context(), "incident", servicenow.Record{}); !errors.Is(err, servicenow.ErrRedirect) {
		t.Errorf("got %v", err)
	}
}

func TestWriteIsUnknownOnceItMayHaveArrived(t *testing.T) {
	t.Parallel()
	insert := func(c *servicenow.Client) error {
		_, err := c.Insert(t.Context(), "ecc_queue", servicenow.Record{"a": "b"})
		return err
	}
	t.Run("cut before the answer", func(t *testing.T) {
		t.Parallel()
		err := insert(serve(t, func(w http.ResponseWriter, _ *http.Request) { cut(w) }))
		if fault.KindOf(err) != fault.Unknown {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cut in the answer", func(t *testing.T) {
		t.Parallel()
		err := insert(serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			answer(w, 201, `{"result":{"sys_id":"a"}}`)
		}))
		if fault.KindOf(err) != fault.Unknown || !errors.Is(err, servicenow.ErrTruncated) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no answer in time", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		c := serve(t, func(http.ResponseWriter, *http.Request) { <-release },
			func(conf *servicenow.Config) { conf.Timeout = 50 * time.Millisecond })
		t.Cleanup(func() { close(release) })
		if err := insert(c); fault.KindOf(err) != fault.Unknown {
			t.Errorf("got %v", err)
		}
		_, err := c.Get(t.Context(), "ecc_queue", "abc")
		if fault.KindOf(err) != fault.Timeout {
			t.Errorf("a read gave %v", err)
		}
	})
	t.Run("stopped under way", func(t *testing.T) {
		t.Parallel()
		arrived, release := make(chan struct{}), make(chan struct{})
		c := serve(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
		t.Cleanup(func() { close(release) })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		_, err := c.Insert(ctx, "ecc_queue", servicenow.Record{})
		if fault.KindOf(err) != fault.Unknown {
			t.Errorf("got %v", err)
		}
	})
}

func TestWriteThatCannotHaveArrivedIsNotUnknown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	_ = l.Close()
	_, err = newClient(t, config(address)).Insert(t.Context(), "ecc_queue", servicenow.Record{})
	if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Errorf("a refused connection gave %v: %v", fault.KindOf(err), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = newClient(t, config(address)).Insert(ctx, "ecc_queue", servicenow.Record{})
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("a request that was canceled before gave %v", err)
	}
}

func TestWriteIsSentOnce(t *testing.T) {
	t.Parallel()
	n := 0
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { n++; answer(w, 503, "") },
		func(conf *servicenow.Config) { conf.Retries = 3 })
	_, err := c.Insert(t.Context(), "ecc_queue", servicenow.Record{})
	if err == nil || n != 1 {
		t.Errorf("sent %d times: %v", n, err)
	}
}

func TestReadIsRepeated(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1:
			cut(w)
			return
		case 2:
			answer(w, 200, `{"result":{"sys_id`)
			return
		}
		answer(w, 200, `{"result":{"sys_id":"abc"}}`)
	}, func(conf *servicenow.Config) { conf.Retries = 3 })
	r, err := c.Get(t.Context(), "ecc_queue", "abc")
	if err != nil || r["sys_id"] != "abc" || n.Load() != 3 {
		t.Errorf("after %d tries: %v, %v", n.Load(), r, err)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(`{"result":{"a":"`))
		chunk := make([]byte, 1<<16)
		for i := range chunk {
			chunk[i] = 'x'
		}
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, func(conf *servicenow.Config) { conf.MaxAnswer = 1 << 20 })
	_, err := c.Get(t.Context(), "ecc_queue", "abc")
	if !errors.Is(err, servicenow.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}
