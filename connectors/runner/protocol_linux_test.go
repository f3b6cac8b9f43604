package runner_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

func writeFrame(t *testing.T, w io.Writer, body string) {
	t.Helper()
	head := binary.BigEndian.AppendUint32([]byte{'J'}, uint32(len(body)))
	if _, err := w.Write(append(head, body...)); err != nil {
		t.Fatal(err)
	}
}

func readFrame(t *testing.T, r io.Reader) map[string]any {
	t.Helper()
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func dialRaw(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, "runner.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// TestRecordedConversations plays what agents of other versions send, and
// checks what the answers must hold for ever.
func TestRecordedConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			p := startRunner(t, t.TempDir())
			conn := dialRaw(t, p.dir)
			r := bufio.NewReader(conn)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				switch {
				case strings.HasPrefix(line, "> "):
					writeFrame(t, conn, line[2:])
				case strings.HasPrefix(line, "< "):
					var want map[string]any
					if err := json.Unmarshal([]byte(line[2:]), &want); err != nil {
						t.Fatal(err)
					}
					got := readFrame(t, r)
					contains(t, line, want, got)
				}
			}
		})
	}
}

// contains checks that an answer has these fields at least.
func contains(t *testing.T, where string, want, got map[string]any) {
	t.Helper()
	for k, w := range want {
		if sub, ok := w.(map[string]any); ok {
			g, _ := got[k].(map[string]any)
			contains(t, where, sub, g)
			continue
		}
		if got[k] != w {
			t.Errorf("%s\n%s is %v in %v", where, k, got[k], got)
		}
	}
}

func TestHostileBytesAreTurnedAway(t *testing.T) {
	t.Parallel()
	p := startRunner(t, t.TempDir())
	for _, text := range []string{
		"GET / HTTP/1.1\r\n\r\n", "J\xff\xff\xff\xff", "J\x01\xff\xff\xffabc", "J\x00\x00\x00\x02[]", "J\x00\x00\x00\x03{}x", "D\x00\x00\x00\x00",
	} {
		conn := dialRaw(t, p.dir)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.UnixConn).CloseWrite()
		if rest, _ := io.ReadAll(conn); len(rest) > 300 {
			t.Errorf("%q is answered by %q", text, rest)
		}
	}
	mustRun(t, p.client, sh("a", "true"))
}

// A runner that only speaks a protocol to come says so, with what to do.
func TestRunnerOfAnotherWorld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "runner.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			readFrame(t, conn)
			writeFrame(t, conn, `{"name":"sallyport-runner","protocol":9,"protocol_min":8,"version":"9","error":{"kind":"conflict","op":"talk to runner","subject":"1","text":"too old","hint":"Update."}}`)
			conn.Close()
		}
	}()
	c := runner.NewClient(runner.ClientOptions{Dir: dir})
	defer c.Close()
	if _, err := c.Ping(t.Context()); fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"begun":{"job":"a","attempt":1}}` + "\n" + `{"end":{"exit_code":0}}` + "\n"))
	f.Add([]byte("\n\n"))
	f.Add([]byte(`{"begun":`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, ended := runner.ParseRecord(body)
		// A record that is cut anywhere must not gain an end that it did not have.
		if _, cut := runner.ParseRecord(body[:len(body)/2]); cut && !ended {
			t.Error("a cut record has an end")
		}
	})
}

func TestFileKeysAreDistinctAndHarmless(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, id := range []string{
		"prod/0123456789abcdef", "prod/0123456789abcdef#2", "Prod/x", "prod/x", "..", "../../etc/passwd", "con", "a.b", "a@1", "", " ", "ü",
		strings.Repeat("x", 400), strings.Repeat("x", 401), "\x00", "a%62", "ab",
	} {
		key := runner.FileKey(id)
		lower := strings.ToLower(key)
		if other, twice := seen[lower]; twice {
			t.Errorf("%q and %q have the key %q", id, other, key)
		}
		seen[lower] = id
		if len(key) > 130 || strings.ContainsAny(key, "/\\.@: \x00") {
			t.Errorf("%q has the key %q", id, key)
		}
	}
}
