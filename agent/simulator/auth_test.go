package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func accountOptions() simulator.Options {
	return simulator.Options{
		Users: []simulator.User{
			{Name: "mid", Password: "mid", Roles: []string{"mid_server"}, WebServiceOnly: true},
			{Name: "human", Password: "human", Roles: []string{"mid_server"}},
			{Name: "exempt", Password: "exempt", Roles: []string{"mid_server", "snc_basic_auth_api_access"}},
			{Name: "admin", Password: "admin", Roles: []string{"admin"}},
			{Name: "gone", Password: "gone", Roles: []string{"mid_server"}, WebServiceOnly: true, Inactive: true},
		},
		OAuthClients: []simulator.OAuthClient{
			{ID: "cc", Secret: "s3", User: "mid", Lifetime: time.Minute},
			{ID: "bare", Secret: "s3"},
		},
	}
}

func TestBasicAuthentication(t *testing.T) {
	t.Parallel()
	s := newSite(t, accountOptions())
	for user, code := range map[string]int{"mid": 200, "exempt": 200, "human": 401, "admin": 401, "gone": 401, "nobody": 401, "": 401} {
		if a := s.as(user).do(t, "GET", table+"ecc_queue", ""); a.code != code {
			t.Errorf("%q: %d, want %d", user, a.code, code)
		}
	}
	s.as("human").do(t, "GET", table+"ecc_queue", "").fails(t, 401, `{"error":{"message":"User Not Authenticated","detail":"Required to provide Auth information"},"status":"failure"}`)
	opt := accountOptions()
	opt.Properties = map[string]string{"glide.authenticate.basic_auth.restriction.enforce": "false"}
	if a := newSite(t, opt).as("human").do(t, "GET", table+"ecc_queue", ""); a.code != 200 {
		t.Errorf("gate open: %d", a.code)
	}
}

func (s *site) token(t *testing.T, form url.Values) (code int, tok map[string]any) {
	t.Helper()
	c := s.as("")
	c.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	a := c.do(t, "POST", "/oauth_token.do", form.Encode())
	if err := json.Unmarshal([]byte(a.body), &tok); err != nil {
		t.Fatal(err, a.body)
	}
	return a.code, tok
}

func grant(kind string, more ...string) url.Values {
	v := url.Values{"grant_type": {kind}, "client_id": {"cc"}, "client_secret": {"s3"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func TestOAuth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, accountOptions())
		code, tok := s.token(t, grant("client_credentials"))
		if code != 200 || tok["refresh_token"] != nil || tok["token_type"] != "Bearer" || tok["expires_in"] != 60.0 {
			t.Fatalf("%d %v", code, tok)
		}
		pass(20 * time.Second)
		_, again := s.token(t, grant("client_credentials"))
		if again["access_token"] != tok["access_token"] || again["expires_in"] != 40.0 {
			t.Errorf("a second request within its life: %v", again)
		}
		b := s.as("")
		b.header = http.Header{"Authorization": {"Bearer " + tok["access_token"].(string)}}
		if a := b.do(t, "GET", table+"ecc_queue", ""); a.code != 200 {
			t.Errorf("bearer: %d %s", a.code, a.body)
		}
		pass(41 * time.Second)
		if a := b.do(t, "GET", table+"ecc_queue", ""); a.code != 401 {
			t.Errorf("expired bearer: %d", a.code)
		}
		_, pw := s.token(t, grant("password", "username", "human", "password", "human"))
		refresh, _ := pw["refresh_token"].(string)
		code, fresh := s.token(t, grant("refresh_token", "refresh_token", refresh))
		if code != 200 || refresh == "" || fresh["access_token"] == pw["access_token"] || fresh["refresh_token"] != nil {
			t.Errorf("refresh: %d %v", code, fresh)
		}
	})
}

func TestOAuthRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, accountOptions())
	for name, tc := range map[string]struct {
		form url.Values
		want string
	}{
		"secret":              {grant("client_credentials", "client_secret", "x"), "server_error"},
		"no application user": {grant("client_credentials", "client_id", "bare"), "unauthorized_client"},
		"password":            {grant("password", "username", "human", "password", "x"), "server_error"},
		"not interactive":     {grant("password", "username", "mid", "password", "mid"), "server_error"},
		"empty refresh":       {grant("refresh_token"), "server_error"},
		"unknown grant":       {grant("magic"), "server_error"},
	} {
		if code, tok := s.token(t, tc.form); code != 401 || tok["error"] != tc.want {
			t.Errorf("%s: %d %v", name, code, tok)
		}
	}
	a := s.as("").do(t, "POST", "/oauth_token.do?"+grant("client_credentials").Encode(), `{}`)
	a.fails(t, 401, "access_denied")
}

func TestCookieSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, accountOptions())
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		s.client.Jar = jar
		a := s.do(t, "GET", table+"ecc_queue", "")
		if len(a.header.Values("Set-Cookie")) != 5 || a.header.Get("X-Is-Logged-In") != "true" {
			t.Fatalf("%v", a.header)
		}
		if a = s.do(t, "GET", table+"ecc_queue", ""); len(a.header.Values("Set-Cookie")) != 0 {
			t.Error("a request with cookies got new ones")
		}
		// Cookies alone need the CSRF token, which the refusal holds.
		c := s.as("")
		a = c.do(t, "GET", table+"ecc_queue", "")
		csrf := a.header.Get("X-Usertoken-Response")
		if a.code != 401 || a.header.Get("X-Is-Logged-In") != "true" || csrf == "" {
			t.Fatalf("%d %v", a.code, a.header)
		}
		c.header = http.Header{"X-Usertoken": {csrf}}
		if a = c.do(t, "GET", table+"ecc_queue", ""); a.code != 200 {
			t.Errorf("with token: %d", a.code)
		}
		pass(31 * time.Minute)
		if a = c.do(t, "GET", table+"ecc_queue", ""); a.code != 401 || a.header.Get("X-Is-Logged-In") != "false" {
			t.Errorf("after the session's life: %d %v", a.code, a.header)
		}
	})
}

// One session runs one transaction at a time; of those that crowd it, some are
// answered 202 and never run.
func TestCrowdedSessionDropsRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, simulator.Options{SessionQueue: 3})
		jar, _ := cookiejar.New(nil)
		s.client.Jar = jar
		s.do(t, "GET", table+"ecc_queue", "")
		if _, err := s.Faults().Add(simulator.Fault{Table: "ecc_queue", Method: "POST", Effect: simulator.Latency, Latency: time.Second}); err != nil {
			t.Fatal(err)
		}
		// The latency of a batch item passes within the transaction of its session.
		codes := make(chan int, 8)
		body := jsonOf(t, map[string]any{"batch_request_id": "1", "rest_requests": []any{item(t, "a", "POST", table+"ecc_queue", `{"topic":"t"}`)}})
		for range 8 {
			go func() {
				a, err := s.try(t, "POST", "/api/now/v1/batch", body)
				if err != nil {
					a.code = -1
				}
				codes <- a.code
			}()
		}
		got := map[int]int{}
		for range 8 {
			got[<-codes]++
		}
		if n, _ := s.Count("ecc_queue", "topic=t"); n != 4 || got[200] != 4 || got[202] != 4 {
			t.Errorf("%d done, answers %v", n, got)
		}
	})
}
