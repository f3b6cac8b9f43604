package proxyauth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:staticcheck // NTLM is made of it

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
)

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// challengeMessage is a CHALLENGE_MESSAGE (MS-NLMP 2.2.1.2) of domain CORP.
func challengeMessage(server []byte) []byte {
	target := utf16le("CORP")
	var info []byte
	for _, av := range []struct {
		id    uint16
		value []byte
	}{{2, target}, {1, utf16le("PROXY")}, {7, make([]byte, 8)}, {0, nil}} {
		info = binary.LittleEndian.AppendUint16(info, av.id)
		info = binary.LittleEndian.AppendUint16(info, uint16(len(av.value)))
		info = append(info, av.value...)
	}
	const head = 56
	m := []byte("NTLMSSP\x00")
	m = binary.LittleEndian.AppendUint32(m, 2)
	field := func(n, at int) {
		m = binary.LittleEndian.AppendUint16(m, uint16(n))
		m = binary.LittleEndian.AppendUint16(m, uint16(n))
		m = binary.LittleEndian.AppendUint32(m, uint32(at))
	}
	field(len(target), head)
	m = binary.LittleEndian.AppendUint32(m, 0xA2898205) // unicode, NTLM, target info, extended session security, 128, 56, version
	m = append(m, server...)
	m = append(m, make([]byte, 8)...)
	field(len(info), head+len(target))
	m = append(m, 6, 1, 0, 0, 0, 0, 0, 15)
	return append(append(m, target...), info...)
}

// verify checks an AUTHENTICATE_MESSAGE as MS-NLMP 3.3.2 (NTLMv2) says.
func verify(t *testing.T, m, server []byte, user, domain, password string) bool {
	t.Helper()
	part := func(at int) []byte {
		n, off := binary.LittleEndian.Uint16(m[at:]), binary.LittleEndian.Uint32(m[at+4:])
		return m[off : int(off)+int(n)]
	}
	response := part(20)
	h := md4.New()
	h.Write(utf16le(password))
	key := mac(h.Sum(nil), utf16le(strings.ToUpper(user)), part(28))
	if !bytes.Equal(part(36), utf16le(user)) || !bytes.EqualFold(part(28), utf16le(domain)) {
		t.Errorf("user %q of %q", part(36), part(28))
	}
	return hmac.Equal(response[:16], mac(key, server, response[16:]))
}

// ntlmLogin is the server's side of one connection.
func ntlmLogin(t *testing.T) func() func(string) []string {
	t.Helper()
	return func() func(string) []string {
		server := []byte("12345678")
		step := 0
		return func(header string) []string {
			token, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(header, "NTLM "))
			switch {
			case len(token) < 12:
				return []string{"NTLM", "Basic realm=x"}
			case token[8] == 1:
				step = 1
				return []string{"NTLM " + base64.StdEncoding.EncodeToString(challengeMessage(server))}
			case token[8] == 3 && step == 1 && verify(t, token, server, "alice", "CORP", "s3cret"):
				return nil
			default:
				return []string{"NTLM", "Basic realm=x"}
			}
		}
	}
}

func TestNTLM(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"ntlm", "auto"} {
		for _, ends := range []bool{false, true} {
			d := &double{t: t, ends: ends, login: ntlmLogin(t)}
			l := proxyauth.Login{Scheme: scheme, User: `CORP\alice`, Password: password("s3cret")}
			got, err := through(t, dialer(d.start(), l))
			if err != nil || got != "hello from the target" {
				t.Errorf("%s, ends %v: %q, %v", scheme, ends, got, err)
			}
			if want := 1; scheme == "ntlm" && d.conns != want {
				t.Errorf("%d connections, want %d: NTLM logs in a connection", d.conns, want)
			}
		}
	}
}

func TestNTLMWrongPassword(t *testing.T) {
	t.Parallel()
	d := &double{t: t, login: ntlmLogin(t)}
	_, err := through(t, dialer(d.start(), proxyauth.Login{Scheme: "ntlm", User: `CORP\alice`, Password: password("pl4nted")}))
	if fault.KindOf(err) != fault.Denied || strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("got %v", err)
	}
}

func TestNTLMOfAPlainRequest(t *testing.T) {
	t.Parallel()
	d := &double{t: t, login: ntlmLogin(t)}
	got, err := post(t, dialer(d.start(), proxyauth.Login{Scheme: "ntlm", User: `CORP\alice`, Password: password("s3cret")}), "http://crl.example.com/")
	if err != nil || got != "plain" {
		t.Errorf("%q, %v", got, err)
	}
}
