package servicenow_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

// inMemory answers requests without a socket, so that virtual time can pass.
type inMemory func(r *http.Request) (int, http.Header, string)

func (f inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	status, h, body := f(r)
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r}, nil
}

func memoryClient(t *testing.T, f inMemory, change ...func(*sn.Config)) *sn.Client {
	t.Helper()
	conf := config("https://example.service-now.com")
	conf.Transport = f
	for _, c := range change {
		c(&conf)
	}
	return newClient(t, conf)
}

func TestRefusedLoginIsHeldAndTheWaitGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, good := 0, false
		c := memoryClient(t, func(*http.Request) (int, http.Header, string) {
			asked++
			if good {
				return 200, nil, `{"result":{"sys_id":"abc"}}`
			}
			return 401, nil, unauth
		})
		get := func() error { _, err := c.Get(t.Context(), "incident", "abc"); return err }
		if err := get(); !errors.Is(err, sn.ErrUnauthorized) || asked != 1 {
			t.Fatalf("asked %d times: %v", asked, err)
		}
		err := get()
		if !errors.Is(err, sn.ErrHeld) || fault.KindOf(err) != fault.Denied || asked != 1 || fault.RetryAfterOf(err) != time.Minute {
			t.Fatalf("asked %d times: %v, wait %v", asked, err, fault.RetryAfterOf(err))
		}
		if until, reason := c.Hold(); time.Until(until) != time.Minute || reason == nil {
			t.Errorf("hold until %v: %v", until, reason)
		}
		waits := []int{2, 4, 8, 16, 32, 60, 60}
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		for _, w := range waits {
			before := asked
			_ = get()
			until, _ := c.Hold()
			if asked != before+1 || int(time.Until(until)/time.Minute) != w {
				t.Fatalf("wait %v, want %v minutes", time.Until(until), w)
			}
			time.Sleep(time.Until(until)) //nolint:forbidigo // virtual time
		}
		_ = get()
		good = true
		c.EndHold()
		if err := get(); err != nil {
			t.Errorf("after EndHold: %v", err)
		}
		if until, _ := c.Hold(); !until.IsZero() {
			t.Errorf("still held until %v", until)
		}
	})
}

func TestSessionTokenAgainstCrossSiteRequests(t *testing.T) {
	t.Parallel()
	inserts := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-UserToken") != "tok" {
			w.Header().Set("X-Is-Logged-In", "true")
			w.Header().Set("X-UserToken-Response", "tok")
			answer(w, 401, unauth)
			return
		}
		inserts++
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":"b"}` {
			t.Errorf("body %s", body)
		}
		answer(w, 201, `{"result":{"sys_id":"abc"}}`)
	})
	r, err := c.Insert(t.Context(), "ecc_queue", sn.Record{"a": "b"})
	if err != nil || r["sys_id"] != "abc" || inserts != 1 {
		t.Errorf("%d inserts, %v, %v", inserts, r, err)
	}
	if until, _ := c.Hold(); !until.IsZero() {
		t.Error("a missing token was taken for a wrong password")
	}
}

func TestEndedSessionIsBegunAnew(t *testing.T) {
	t.Parallel()
	n := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		if n > 1 && r.Header.Get("Cookie") != "" {
			http.Redirect(w, r, "/login.do", http.StatusFound)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: "1"})
		answer(w, 200, `{"result":{"sys_id":"abc"}}`)
	})
	for range 2 {
		if _, err := c.Get(t.Context(), "incident", "abc"); err != nil {
			t.Fatal(err)
		}
	}
	if n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestCookiesOfSerialAndParallelRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sessions := map[string]int{}
	next := 0
	var meet sync.WaitGroup
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if strings.Contains(r.Header.Get("Cookie"), "glide_user=") {
			t.Errorf("an emptied cookie came back: %s", r.Header.Get("Cookie"))
		}
		var id string
		if k, err := r.Cookie("JSESSIONID"); err == nil {
			id = k.Value
		} else {
			next++
			id = string(rune('a' + next))
			http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: id, Path: "/", HttpOnly: true})
		}
		w.Header().Add("Set-Cookie", "glide_user=; Max-Age=0; Expires=Thu, 01-Jan-1970 00:00:10 GMT; Path=/")
		sessions[id]++
		mu.Unlock()
		if r.URL.Query().Get("sysparm_fields") == "sys_id,meet" {
			meet.Done()
			meet.Wait()
		}
		answer(w, 200, `{"result":{"sys_id":"abc"}}`)
	})
	get := func(fields ...string) {
		if _, err := c.Get(t.Context(), "incident", "abc", fields...); err != nil {
			t.Error(err)
		}
	}
	for range 5 {
		get()
	}
	if len(sessions) != 1 {
		t.Fatalf("serial requests used %d sessions", len(sessions))
	}
	meet.Add(3)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { get("meet") })
	}
	wg.Wait()
	if len(sessions) != 3 {
		t.Errorf("three parallel requests used %d sessions", len(sessions))
	}
}

type tokens struct {
	mu      sync.Mutex
	issued  int
	forms   []string
	current string
}

func (o *tokens) serve(w http.ResponseWriter, r *http.Request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.URL.Path == "/oauth_token.do" {
		_ = r.ParseForm()
		o.forms = append(o.forms, r.PostForm.Get("grant_type")+" "+r.PostForm.Get("refresh_token"))
		if r.PostForm.Get("client_secret") != "s3" || r.URL.RawQuery != "" {
			answer(w, 401, `{"error_description":"access_denied","error":"server_error"}`)
			return true
		}
		o.issued++
		o.current = "token" + string(rune('0'+o.issued))
		answer(w, 200, jsonText(map[string]any{"access_token": o.current, "refresh_token": "r1", "token_type": "Bearer", "expires_in": 1799}))
		return true
	}
	if r.Header.Get("Authorization") != "Bearer "+o.current {
		answer(w, 401, unauth)
		return true
	}
	return false
}

func oauth(secretText string) func(*sn.Config) {
	return func(c *sn.Config) {
		c.Basic, c.OAuth = nil, &sn.OAuth{ClientID: "id", ClientSecret: secret(secretText)}
	}
}

func TestTokenIsSharedAndRenewedOnceWhenRefused(t *testing.T) {
	t.Parallel()
	o := &tokens{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !o.serve(w, r) {
			answer(w, 200, `{"result":{"sys_id":"abc"}}`)
		}
	}, oauth("s3"))
	get := func() {
		if _, err := c.Get(t.Context(), "incident", "abc"); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(get)
	}
	wg.Wait()
	if o.issued != 1 {
		t.Errorf("%d tokens for parallel requests", o.issued)
	}
	o.mu.Lock()
	o.current = "revoked"
	o.mu.Unlock()
	get()
	if o.issued != 2 || o.forms[1] != "refresh_token r1" {
		t.Errorf("%d tokens, grants %q", o.issued, o.forms)
	}
	if until, _ := c.Hold(); !until.IsZero() {
		t.Error("a refused token was taken for a refused login")
	}
}

func TestTokenIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issued := 0
		c := memoryClient(t, func(r *http.Request) (int, http.Header, string) {
			if r.URL.Path == "/oauth_token.do" {
				issued++
				return 200, nil, `{"access_token":"t","expires_in":100}`
			}
			return 200, nil, `{"result":{"sys_id":"abc"}}`
		}, oauth("s3"))
		for _, at := range []time.Duration{0, 89 * time.Second, 2 * time.Second} {
			time.Sleep(at) //nolint:forbidigo // virtual time
			if _, err := c.Get(t.Context(), "incident", "abc"); err != nil {
				t.Fatal(err)
			}
		}
		if issued != 2 {
			t.Errorf("%d tokens", issued)
		}
	})
}

func TestRefusedClientIsHeldWithAHint(t *testing.T) {
	t.Parallel()
	o := &tokens{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { o.serve(w, r) }, oauth("wrong"))
	_, err := c.Insert(t.Context(), "incident", sn.Record{})
	if !errors.Is(err, sn.ErrUnauthorized) || fault.KindOf(err) != fault.Denied || !contains(fault.HintOf(err), "client_id") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
	_, err = c.Insert(t.Context(), "incident", sn.Record{})
	if !errors.Is(err, sn.ErrHeld) || len(o.forms) != 1 {
		t.Errorf("asked %d times: %v", len(o.forms), err)
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://user:pl4nted@example.com", "ftp://u:pl4nted@x", "https://x/?a=pl4nted\x7f"} {
		conf := config(address)
		if _, err := sn.New(conf); err == nil || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%q gave %v", address, err)
		}
	}
	conf := config("https://example.com")
	conf.Basic.Password = func() (string, error) { return "", errors.New("no such file") }
	conf.Transport = inMemory(func(*http.Request) (int, http.Header, string) { t.Error("sent"); return 500, nil, "" })
	_, err := newClient(t, conf).Insert(context.Background(), "incident", sn.Record{})
	if err == nil || !contains(err.Error(), "no such file") || fault.KindOf(err) == fault.Unknown {
		t.Errorf("got %v", err)
	}
}

func TestHTTPIsForLoopbackOnly(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"http://example.com": false, "http://10.0.0.1": false, "http://127.0.0.1:1": true, "http://localhost:1": true,
		"http://[::1]:1": true, "https://example.com": true, "": false, "example.com": false, "http://localhost.example.com": false,
	} {
		if _, err := sn.New(config(address)); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}
