package proxyauth_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
)

// need skips a test whose program is not installed.
func need(t *testing.T, pkg string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if _, err := os.Stat("/usr/sbin/" + p); err != nil {
				t.Skip("needs the Debian package " + pkg)
			}
		}
	}
}

func program(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	return "/usr/sbin/" + name
}

func freePort(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, port, _ := net.SplitHostPort(c.LocalAddr().String())
		return port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// output collects what a server prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// daemon runs a server in the foreground until the test ends, and waits until it
// answers on a TCP address.
func daemon(t *testing.T, address string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program(name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 3 * time.Second
	cmd.Env = append(os.Environ(), env...)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", name, out.String())
		case <-tick.C:
		}
	}
	t.Fatalf("%s does not answer: %s", name, out.String())
}

// openDir is a folder that servers which change their account can read.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func squid(t *testing.T, dir, auth string, env ...string) *url.URL {
	t.Helper()
	port := freePort(t, "tcp")
	conf := write(t, filepath.Join(dir, "squid.conf"), fmt.Sprintf(`
http_port 127.0.0.1:%s
pid_filename none
access_log none
cache_log /dev/stderr
cache_store_log none
cache deny all
coredump_dir %s
shutdown_lifetime 0 seconds
pinger_enable off
visible_hostname localhost
%s
acl users proxy_auth REQUIRED
http_access allow users
http_access deny all
`, port, dir, auth))
	daemon(t, "127.0.0.1:"+port, env, "squid", "-N", "-f", conf)
	return &url.URL{Scheme: "http", Host: "localhost:" + port}
}

func TestRealSquidBasic(t *testing.T) {
	t.Parallel()
	need(t, "squid", "squid")
	dir := openDir(t)
	sum := md5.Sum([]byte("open sesame")) // one of the forms that the helper takes
	users := write(t, filepath.Join(dir, "users"), "agent:"+hex.EncodeToString(sum[:])+"\n")
	u := squid(t, dir, "auth_param basic program /usr/lib/squid/basic_ncsa_auth "+users+"\nauth_param basic children 1")
	checkReal(t, u, "agent", "open sesame", "basic", "auto")
}

func TestRealTinyproxyBasic(t *testing.T) {
	t.Parallel()
	need(t, "tinyproxy", "tinyproxy")
	dir := openDir(t)
	port := freePort(t, "tcp")
	conf := write(t, filepath.Join(dir, "tinyproxy.conf"), "Port "+port+"\nListen 127.0.0.1\nTimeout 30\nMaxClients 20\nBasicAuth agent sesame\n")
	daemon(t, "127.0.0.1:"+port, nil, "tinyproxy", "-d", "-c", conf)
	checkReal(t, &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}, "agent", "sesame", "basic", "auto")
}

func checkReal(t *testing.T, u *url.URL, user, pass string, schemes ...string) {
	t.Helper()
	for _, scheme := range schemes {
		l := proxyauth.Login{Scheme: scheme, User: user, Password: password(pass)}
		if got, err := through(t, dialer(u, l)); err != nil || got != "hello from the target" {
			t.Errorf("%s: %q, %v", scheme, got, err)
		}
		if got, err := post(t, dialer(u, l), webTarget(t)); err != nil || got != "got a body" {
			t.Errorf("%s, plain request: %q, %v", scheme, got, err)
		}
		l.Password = password("wrong")
		if _, err := through(t, dialer(u, l)); fault.KindOf(err) != fault.Denied {
			t.Errorf("%s with a wrong password: %v", scheme, err)
		}
	}
}
