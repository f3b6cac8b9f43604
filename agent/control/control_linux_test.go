package control_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/control/controltest"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// asReader turns this test program into a caller of another account.
const asReader = "SALLYPORT_TEST_READER"

func TestMain(m *testing.M) {
	if path := os.Getenv(asReader); path != "" {
		read(path)
		return
	}
	os.Exit(m.Run())
}

type seen struct{ Dial, Status, Pause, Account string }

func read(path string) {
	var s seen
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := control.Dial(ctx, path)
	s.Dial = outcome(err)
	if err == nil {
		s.Account = c.Hello().Account
		_, err = c.Status(ctx)
		s.Status = outcome(err)
		s.Pause = outcome(c.Pause(ctx, ""))
	}
	_ = json.NewEncoder(os.Stdout).Encode(s)
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return fault.KindOf(err).String()
}

// nobody calls the API from a process of another account.
func nobody(t *testing.T, path string, gid uint32) seen {
	t.Helper()
	bin := filepath.Join(filepath.Dir(path), "caller")
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Env = []string{asReader + "=" + path, "GORACE=atexit_sleep_ms=0"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{gid}}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var s seen
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return s
}

func TestTheGroupReadsAndOthersAreRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("becoming another account needs root")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a, path := controltest.Sample(now()), control.Path(dir)
	stop := serve(t, control.Options{Path: path, Group: "4242", Agent: a})
	if s := nobody(t, path, 4242); s.Dial != "ok" || s.Status != "ok" || s.Pause != "denied" || s.Account == "root" {
		t.Errorf("a member of the group sees %+v", s)
	}
	if s := nobody(t, path, 4243); s.Dial != "denied" {
		t.Errorf("another account sees %+v", s)
	}
	stop()
	serve(t, control.Options{Path: path, Agent: a})
	if s := nobody(t, path, 4242); s.Dial != "denied" {
		t.Errorf("without a group another account sees %+v", s)
	}
	if calls := a.Calls(); len(calls) != 0 {
		t.Errorf("changes were made: %q", calls)
	}
}

func TestTheSocketOfADeadAgentIsReplaced(t *testing.T) {
	t.Parallel()
	path := control.Path(t.TempDir())
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	stop := serve(t, control.Options{Path: path, Agent: &controltest.Agent{}})
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	dial(t, path).Close()
	stop()
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestWhatIsNoSocketIsKept(t *testing.T) {
	t.Parallel()
	path := control.Path(t.TempDir())
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := control.Serve(t.Context(), control.Options{Path: path, Agent: &controltest.Agent{}}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Errorf("the file holds %q", data)
	}
}

func TestALongPathWorks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := control.Path(dir)
	stop := serve(t, control.Options{Path: path, Agent: &controltest.Agent{}})
	if _, err := dial(t, path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// raw sends one request of another making.
func raw(t *testing.T, path, method, route, body, protocol string) (status int, answer string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+route, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if protocol != "" {
		req.Header.Set("Sallyport-Protocol", protocol)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var e struct {
		Error struct{ Kind, Message, Hint string }
	}
	_ = json.NewDecoder(res.Body).Decode(&e)
	if res.StatusCode != http.StatusOK && (e.Error.Kind == "" || e.Error.Hint == "") {
		t.Errorf("%s %s: an error without kind or hint: %+v", method, route, e)
	}
	return res.StatusCode, e.Error.Kind + ": " + e.Error.Message
}

func TestNeighbouringVersionsUnderstandEachOther(t *testing.T) {
	t.Parallel()
	path := control.Path(t.TempDir())
	serve(t, control.Options{Path: path, Agent: controltest.Sample(now())})
	for protocol, want := range map[string]int{"0": 200, "1": 200, "2": 200, "3": 400, "": 400, "x": 400} {
		if got, answer := raw(t, path, "GET", "/status", "", protocol); got != want {
			t.Errorf("protocol %q: %d %s, want %d", protocol, got, answer, want)
		}
	}
}

func TestHostileRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	a, path := controltest.Sample(now()), control.Path(t.TempDir())
	serve(t, control.Options{Path: path, Agent: a})
	for name, c := range map[string]struct{ method, route, body string }{
		"unknown member":  {"POST", "/cancel", `{"id":"prod/b","gently":true}`},
		"no body":         {"POST", "/cancel", ""},
		"no id":           {"POST", "/approve", "{}"},
		"two documents":   {"POST", "/cancel", `{"id":"prod/b"}{"id":"prod/b"}`},
		"huge":            {"POST", "/pause", `{"note":"` + strings.Repeat("x", 1<<20) + `"}`},
		"escape sequence": {"POST", "/pause", `{"note":"\u001b[2J"}`},
		"wrong type":      {"POST", "/retry", `{"id":["prod/b"]}`},
		"get to change":   {"GET", "/pause", ""},
		"unknown route":   {"POST", "/shell", `{"id":"prod/b"}`},
	} {
		if got, answer := raw(t, path, c.method, c.route, c.body, "1"); got != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got, answer)
		}
	}
	if calls := a.Calls(); len(calls) != 0 {
		t.Errorf("changes were made: %q", calls)
	}
}

func TestAMissingFolderIsMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "sallyport", "x.sock")
	serve(t, control.Options{Path: path, Agent: &controltest.Agent{}})
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", info, err)
	}
	if _, err := dial(t, path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}
