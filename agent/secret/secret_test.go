package secret_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/secret"
)

// planted has every character that some encoding treats specially.
const planted = `p&ss<w>"o'r/d+ \ü%$7`

const plain = "correct-horse-battery"

func utf16of(s string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func lowerEscapes(s string) string {
	return regexp.MustCompile("%..").ReplaceAllStringFunc(s, strings.ToLower)
}

// encodings are the forms in which a secret is planted. Each returns a text
// around the encoded secret.
func encodings() map[string]func(string) string {
	xmlEscape := func(s string) string {
		var b bytes.Buffer
		_ = xml.EscapeText(&b, []byte(s))
		return b.String()
	}
	jsonEscape := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b[1 : len(b)-1])
	}
	b64 := func(enc *base64.Encoding, shift int) func(string) string {
		return func(s string) string { return enc.EncodeToString([]byte("xyz"[:shift] + s + "tail")) }
	}
	return map[string]func(string) string{
		"plain": func(s string) string { return "a " + s + " b" },
		"xml":   func(s string) string { return "<v>" + xmlEscape(s) + "</v>" },
		"xml named": func(s string) string {
			return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s)
		},
		"json":       func(s string) string { return `{"v":"` + jsonEscape(s) + `"}` },
		"json twice": func(s string) string { return jsonEscape(jsonEscape(s)) },
		"json in xml": func(s string) string {
			return xmlEscape(`{"v":"` + jsonEscape(s) + `"}`)
		},
		"query":       func(s string) string { return "https://h/?q=" + url.QueryEscape(s) + "&x" },
		"query lower": func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
		"path":        func(s string) string { return "/a/" + url.PathEscape(s) },
		"userinfo": func(s string) string {
			return (&url.URL{Scheme: "https", User: url.UserPassword("u", s), Host: "h"}).String()
		},
		"base64 0":    b64(base64.StdEncoding, 0),
		"base64 1":    b64(base64.StdEncoding, 1),
		"base64 2":    b64(base64.StdEncoding, 2),
		"base64 url":  b64(base64.URLEncoding, 1),
		"base64 raw":  b64(base64.RawURLEncoding, 2),
		"base64 only": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"encoded command": func(s string) string {
			return base64.StdEncoding.EncodeToString([]byte(utf16of("x '"+s+"'", binary.LittleEndian)))
		},
		"hex":        func(s string) string { return hex.EncodeToString([]byte(s)) },
		"hex upper":  func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"utf-16le":   func(s string) string { return utf16of("x "+s+" y", binary.LittleEndian) },
		"utf-16be":   func(s string) string { return utf16of("x "+s+" y", binary.BigEndian) },
		"go quoted":  strconv.Quote,
		"go ascii":   strconv.QuoteToASCII,
		"sh quoted":  func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
		"ps quoted":  func(s string) string { return "'" + strings.ReplaceAll(s, "'", `''`) + "'" },
		"twice":      func(s string) string { return s + s },
		"overlapped": func(s string) string { return s[:3] + s + s[3:] },
	}
}

// exits are all ways by which text leaves through the package.
func exits() map[string]func(*secret.Redactor, string) string {
	logged := func(r *secret.Redactor, log func(*slog.Logger)) string {
		var text, js bytes.Buffer
		log(slog.New(r.Handler(slog.NewTextHandler(&text, nil))))
		log(slog.New(r.Handler(slog.NewJSONHandler(&js, nil))))
		return text.String() + js.String()
	}
	return map[string]func(*secret.Redactor, string) string{
		"Redact":      func(r *secret.Redactor, s string) string { return r.Redact(s) },
		"RedactBytes": func(r *secret.Redactor, s string) string { return string(r.RedactBytes([]byte(s))) },
		"Error": func(r *secret.Redactor, s string) string {
			return fmt.Sprintf("%v %#v", r.Error(errors.New(s)), r.Error(errors.New(s)))
		},
		"Writer by byte": func(r *secret.Redactor, s string) string {
			var out bytes.Buffer
			w := r.NewWriter(&out)
			for i := range len(s) {
				_, _ = w.Write([]byte{s[i]})
			}
			_ = w.Close()
			return out.String()
		},
		"Reader by byte": func(r *secret.Redactor, s string) string {
			b, _ := io.ReadAll(r.NewReader(iotest.OneByteReader(strings.NewReader(s))))
			return string(b)
		},
		"Reader": func(r *secret.Redactor, s string) string {
			b, _ := io.ReadAll(r.NewReader(strings.NewReader(s)))
			return string(b)
		},
		"log message": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.Info(s) }) //nolint:sloglint // a message with a secret is what is tested
		},
		"log attribute": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.Info("m", s, 1, "a", s) })
		},
		"log error": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.Info("m", "err", fmt.Errorf("x: %w", errors.New(s))) })
		},
		"log group": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.WithGroup("g").Info("m", slog.Group("h", slog.Group("i", "a", s))) })
		},
		"log with": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.With("a", s).WithGroup("g").With("b", s).Info("m") })
		},
		"log valuer": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.Info("m", "v", valuer{s}) })
		},
		"log struct": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.Info("m", "v", struct{ A []string }{[]string{s}}) })
		},
		"log bytes": func(r *secret.Redactor, s string) string {
			return logged(r, func(l *slog.Logger) { l.Info("m", "v", []byte(s)) })
		},
	}
}

type valuer struct{ s string }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", v.s)) }

// leaks reports whether a known form of the secret is in a text: one of the
// encodings, or the encoded text that was planted.
func leaks(text, s string) string {
	for name, enc := range encodings() {
		switch name {
		case "plain", "xml", "twice", "overlapped", "json", "query", "path":
			e := enc(s)
			if name == "plain" || name == "twice" || name == "overlapped" {
				e = s
			}
			if strings.Contains(text, e) {
				return name
			}
		}
	}
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \"\n<>=:{}*", r) }) {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if raw, err := enc.DecodeString(strings.TrimRight(field, "=")); err == nil && bytes.Contains(raw, []byte(s)) {
				return "base64"
			}
		}
		if raw, err := hex.DecodeString(field); err == nil && bytes.Contains(raw, []byte(s)) {
			return "hex"
		}
	}
	if strings.Contains(strings.ReplaceAll(text, "\x00", ""), s) {
		return "utf-16"
	}
	return ""
}

func TestPlantedSecretsLeaveNowhere(t *testing.T) {
	t.Parallel()
	for _, s := range []string{planted, plain} {
		r := secret.NewRedactor()
		r.Add("another-secret")
		r.Add(s)
		for encName, enc := range encodings() {
			for exitName, exit := range exits() {
				out := exit(r, enc(s))
				if !strings.Contains(out, secret.Mask) {
					t.Errorf("%q as %s by %s: nothing masked in %q", s, encName, exitName, out)
				}
				if form := leaks(out, s); form != "" {
					t.Errorf("%q as %s by %s leaks as %s: %q", s, encName, exitName, form, out)
				}
			}
		}
	}
}

func TestSurroundingsStay(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	r.Add(plain)
	for in, want := range map[string]string{
		"":                             "",
		"nothing here":                 "nothing here",
		"a " + plain + " b":            "a *** b",
		plain + plain:                  "***",
		plain + " " + plain:            "*** ***",
		plain[:len(plain)-1] + " ends": plain[:len(plain)-1] + " ends",
	} {
		if got := r.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
		got, err := io.ReadAll(r.NewReader(iotest.HalfReader(strings.NewReader(in))))
		if string(got) != want || err != nil {
			t.Errorf("reader of %q gave %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestLinesOfALongSecretAreFound(t *testing.T) {
	t.Parallel()
	lines := []string{"-----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "kjsdhfkjh3249872hjkshdf98", "-----END KEY-----"}
	long := strings.Repeat("0123456789abcdef", 40) + "last"
	r := secret.NewRedactor()
	r.Add(strings.Join(lines, "\r\n"))
	r.Add(long)
	for _, hidden := range []string{lines[1], lines[2], long} {
		if got := r.Redact("x " + hidden + "\n"); got != "x ***\n" {
			t.Errorf("%q stays in %q", hidden, got)
		}
	}
	if got := r.Redact(lines[0]); got != lines[0] {
		t.Errorf("the frame of a PEM block was masked: %q", got)
	}
	whole := base64.StdEncoding.EncodeToString([]byte(strings.Join(lines, "\r\n")))
	if got := r.Redact(whole); strings.Contains(got, "SUlFdlFJQkFEQU5CZ2txaGtpRzl3MEJBUUVGQUFTQw") || !strings.Contains(got, "***") {
		t.Errorf("base64 of the whole: %q", got)
	}
}

func TestShortValuesAreNotLookedFor(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	r.Add("abc")
	r.Add("")
	if got := r.Redact("abc def"); got != "abc def" {
		t.Errorf("got %q", got)
	}
	r.Add("äbcd")
	if got := r.Redact("x äbcd"); got != "x ***" {
		t.Errorf("got %q", got)
	}
}

func TestWriterPassesWholeLines(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	r.Add(plain)
	var out bytes.Buffer
	w := r.NewWriter(&out)
	if n, err := w.Write([]byte("a line\n")); n != 7 || err != nil || out.String() != "a line\n" {
		t.Errorf("%d %v %q: a whole line was held back", n, err, out.String())
	}
	_, _ = w.Write([]byte("tail cor"))
	if strings.Contains(out.String(), "cor") {
		t.Errorf("the beginning of a secret left: %q", out.String())
	}
	if err := w.Close(); err != nil || !strings.HasSuffix(out.String(), "tail cor") {
		t.Errorf("close: %v, %q", err, out.String())
	}
}

func TestAttachedAttributesAreRedactedForLaterSecrets(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	var out bytes.Buffer
	l := slog.New(r.Handler(slog.NewTextHandler(&out, nil))).With("a", plain)
	l.Info("one")
	out.Reset()
	r.Add(plain)
	l.Info("two")
	if strings.Contains(out.String(), plain) || !strings.Contains(out.String(), "two") {
		t.Errorf("got %q", out.String())
	}
}

func TestStreamsAgreeWithRedact(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	r.Add("aabaab")
	r.Add("baabaaa")
	r.Add("abcd")
	one := func(s string) string { // adjacent matches may be masked once or twice
		for strings.Contains(s, "******") {
			s = strings.ReplaceAll(s, "******", "***")
		}
		return s
	}
	state := uint32(1)
	for range 2000 {
		var b strings.Builder
		for range 40 {
			state = state*1664525 + 1013904223
			b.WriteByte("aaabbcd "[state>>29])
		}
		in := b.String()
		want := one(r.Redact(in))
		var out bytes.Buffer
		w := r.NewWriter(&out)
		for rest := in; rest != ""; {
			state = state*1664525 + 1013904223
			n := min(len(rest), 1+int(state>>30))
			_, _ = w.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_ = w.Close()
		if got := one(out.String()); got != want {
			t.Fatalf("stream of %q gives %q, want %q", in, got, want)
		}
	}
}

func TestValueNeverPrints(t *testing.T) {
	t.Parallel()
	v := secret.NewValue(plain)
	holder := struct {
		Public secret.Value
		hidden secret.Value
		list   []secret.Value
	}{v, v, []secret.Value{v}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%20.3s"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", v, &v, holder)
	}
	j, _ := json.Marshal(holder)
	x, _ := xml.Marshal(struct{ V secret.Value }{v})
	out.Write(j)
	out.Write(x)
	out.WriteString(v.String() + fmt.Sprint(v))
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v, "h", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v, "h", holder)
	for _, form := range []string{plain, hex.EncodeToString([]byte(plain)), plain[:3]} {
		if strings.Contains(strings.ToLower(out.String()), form) {
			t.Errorf("%q is in %s", form, out.String())
		}
	}
	if v.Reveal() != plain || v.IsZero() || !(secret.Value{}).IsZero() || (secret.Value{}).Reveal() != "" {
		t.Error("Reveal or IsZero is wrong")
	}
}

func TestRefs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"env:A_B", "file:/etc/x", "systemd:name", ""} {
		var r secret.Ref
		if err := r.UnmarshalText([]byte(good)); err != nil || r.String() != good {
			t.Errorf("%q: %v, %q", good, err, r)
		}
	}
	for bad, want := range map[string]string{
		"hunter2":        "not a reference",
		"pass:word":      "not a reference",
		"vault:x":        "not built in this version",
		"store:x":        "not built in this version",
		"env:":           "no name",
		"env:A B":        "no name",
		"file:relative":  "no absolute path",
		"systemd:../x":   "no name",
		"systemd:..":     "no name",
		"systemd:a/../b": "no name",
	} {
		_, err := secret.ParseRef(bad)
		if err == nil || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v (hint %q)", bad, err, fault.HintOf(err))
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "word")) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, mode); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestResolve(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	file := write(t, "f", plain+"\n", 0o640)
	creds := filepath.Dir(write(t, "db", "from systemd\r\n", 0o400))
	env := map[string]string{"PW": "from env", "CREDENTIALS_DIRECTORY": creds}
	res := secret.NewResolver(r, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	for text, want := range map[string]string{"env:PW": "from env", "file:" + file: plain, "systemd:db": "from systemd"} {
		ref, _ := secret.ParseRef(text)
		v, err := res.Resolve(t.Context(), ref)
		if err != nil || v.Reveal() != want {
			t.Errorf("%s: %q, %v", text, v.Reveal(), err)
		}
		if got := r.Redact("<" + want + ">"); got != "<***>" {
			t.Errorf("%s is not known to the redactor: %q", text, got)
		}
	}
	if err := os.WriteFile(file, []byte("rotated\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ref, _ := secret.ParseRef("file:" + file)
	if v, err := res.Resolve(t.Context(), ref); err != nil || v.Reveal() != "rotated\n" {
		t.Errorf("after rotation %q, %v; one newline is trimmed", v.Reveal(), err)
	}
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cases := map[string]fault.Kind{
		"env:NOT_SET":   fault.Invalid,
		"env:EMPTY":     fault.Invalid,
		"systemd:x":     fault.Invalid,
		"file:" + dir:   fault.Invalid,
		"file:/no/such": fault.Invalid,
		"file:" + write(t, "l", strings.Repeat("x", secret.MaxBytes+1), 0o600): fault.Invalid,
		"file:" + write(t, "u", "\xff\xfep\x00w\x00", 0o600):                   fault.Invalid,
		"file:" + write(t, "e", "\n", 0o600):                                   fault.Invalid,
	}
	if runtime.GOOS != "windows" {
		cases["file:"+write(t, "w", plain, 0o644)] = fault.Denied
		cases["file:"+write(t, "w", plain, 0o602)] = fault.Denied
	}
	res := secret.NewResolver(secret.NewRedactor(), func(k string) (string, bool) { return "", k == "EMPTY" })
	for text, kind := range cases {
		ref, err := secret.ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = res.Resolve(t.Context(), ref)
		if err == nil || fault.KindOf(err) != kind || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, want %v with a hint", text, err, kind)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := res.Resolve(ctx, secret.Ref{}); fault.KindOf(err) != fault.Canceled {
		t.Errorf("canceled: %v", err)
	}
	if _, err := res.Resolve(t.Context(), secret.Ref{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("no reference: %v", err)
	}
}

func FuzzRedactLeavesNothing(f *testing.F) {
	f.Add("secret", "xx", "yy", uint8(3))
	f.Add(planted, "p&", "7", uint8(0))
	f.Fuzz(func(t *testing.T, s, before, after string, chunk uint8) {
		if len(s) > 2000 || strings.ContainsAny(s, "\r\n") || strings.TrimSpace(s) != s || len([]rune(s)) < secret.MinRunes ||
			strings.HasPrefix(s, "-----") || strings.Contains(s, secret.Mask) {
			return
		}
		r := secret.NewRedactor()
		r.Add(s)
		in := before + s + after
		var out bytes.Buffer
		w := r.NewWriter(&out)
		for rest := in; rest != ""; {
			n := min(len(rest), 1+int(chunk))
			_, _ = w.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		_ = w.Close()
		for _, text := range []string{r.Redact(in), out.String()} {
			if !strings.Contains(text, secret.Mask) {
				t.Errorf("%q in %q gives %q", s, in, text)
			}
		}
	})
}

func BenchmarkRedactNoMatch(b *testing.B) {
	r := secret.NewRedactor()
	for i := range 20 {
		r.Add(fmt.Sprintf("s3cr3t-%d-%x!", i, i*7919))
	}
	text := strings.Repeat("2026-11-23T21:00:00Z level=INFO msg=\"job finished\" job=prod/0123456789abcdef topic=Command\n", 11000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if out := r.Redact(text); len(out) != len(text) {
			b.Fatal("matched")
		}
	}
}

func BenchmarkRedactNoSecrets(b *testing.B) {
	r := secret.NewRedactor()
	text := strings.Repeat("a line of text\n", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_ = r.Redact(text)
	}
}
