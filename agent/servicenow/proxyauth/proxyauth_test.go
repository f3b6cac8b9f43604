package proxyauth_test

import (
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
)

const aladdin = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" // the example of RFC 7617

func basicOnly(header string) []string {
	if header == aladdin {
		return nil
	}
	return []string{`Basic realm="x, y"`}
}

func TestBasic(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]proxyauth.Login{
		"basic": {Scheme: "basic", User: "Aladdin", Password: password("open sesame")},
		"auto":  {Scheme: "auto", User: "Aladdin", Password: password("open sesame")},
	} {
		for _, ends := range []bool{false, true} {
			d := &double{t: t, ends: ends, login: func() func(string) []string { return basicOnly }}
			got, err := through(t, dialer(d.start(), l))
			if err != nil || got != "hello from the target" {
				t.Errorf("%s, ends %v: %q, %v", name, ends, got, err)
			}
		}
	}
}

func TestUserOfTheAddress(t *testing.T) {
	t.Parallel()
	d := &double{t: t, login: func() func(string) []string { return basicOnly }}
	u := d.start()
	u.User = url.UserPassword("Aladdin", "open sesame")
	if got, err := through(t, dialer(u, proxyauth.Login{})); err != nil || got != "hello from the target" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWrongPasswordIsDeniedAndNotShown(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"basic", "auto", "ntlm"} {
		d := &double{t: t, login: func() func(string) []string { return basicOnly }}
		_, err := through(t, dialer(d.start(), proxyauth.Login{Scheme: scheme, User: "Aladdin", Password: password("pl4nted")}))
		if fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestNoUserMeansNoPasswordIsSent(t *testing.T) {
	t.Parallel()
	d := &double{t: t, login: func() func(string) []string {
		return func(header string) []string {
			if header != "" {
				t.Errorf("sent %q", header)
			}
			return []string{"Basic"}
		}
	}}
	if _, err := through(t, dialer(d.start(), proxyauth.Login{})); fault.KindOf(err) != fault.Denied {
		t.Errorf("got %v", err)
	}
}

func TestPlainRequestThroughALogin(t *testing.T) {
	t.Parallel()
	d := &double{t: t, login: func() func(string) []string { return basicOnly }}
	got, err := post(t, dialer(d.start(), proxyauth.Login{User: "Aladdin", Password: password("open sesame")}), "http://ocsp.example.com/x")
	if err != nil || got != "plain" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = post(t, &proxyauth.Dialer{}, webTarget(t))
	if err != nil || got != "got a body" {
		t.Errorf("directly: %q, %v", got, err)
	}
}

// TestHostileProxy is a proxy that never ends its header, speaks no HTTP, or
// closes.
func TestHostileProxy(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"endless header": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"no HTTP":        "SSH-2.0-OpenSSH\r\n",
		"closes":         "",
		"refuses":        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"asks for ever":  "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.CopyN(io.Discard, c, 20)
					_, _ = io.WriteString(c, text)
					c.Close()
				}
			}()
			u := &url.URL{Scheme: "http", Host: l.Addr().String()}
			_, err = through(t, dialer(u, proxyauth.Login{User: "a", Password: password("b")}))
			if err == nil || fault.HintOf(err) == "" || fault.KindOf(err) == fault.Unknown {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	e, err := proxyauth.ParseExceptions([]string{"example.com, .corp.test", "10.0.0.0/8", "host:8443", "192.168.1.7", "fd00::/8", "[::1]:443"})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{
		"example.com:443": true, "www.example.com": true, "EXAMPLE.com.:443": true, "badexample.com:443": false, "a.corp.test:1": true,
		"corp.test:1": true, "10.1.2.3:443": true, "11.1.2.3:443": false, "host:8443": true, "host:443": false, "192.168.1.7:1": true,
		"[fd00::1]:443": true, "[fe80::1]:443": false, "[::ffff:10.1.1.1]:443": true, "[::1]:443": true, "[::1]:80": false,
	} {
		if got := e.Match(target); got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
	all, err := proxyauth.ParseExceptions([]string{"*"})
	if err != nil || !all.Match("anything:1") {
		t.Error("* does not match")
	}
	for _, bad := range []string{"10.0.0.0/99", "http://x", "a b"} {
		if _, err := proxyauth.ParseExceptions([]string{bad}); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestUnknownSchemes(t *testing.T) {
	t.Parallel()
	if err := (proxyauth.Login{Scheme: "digest"}).Validate(); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	_, err := through(t, dialer(&url.URL{Scheme: "socks5", Host: "x:1"}, proxyauth.Login{}))
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}
