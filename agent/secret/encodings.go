package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MinRunes is the length below which a value, or a line of one, is not looked
// for: it would be found in every text.
const MinRunes = 4

// maxPiece bounds a pattern before encoding, and with it what a stream holds
// back. A longer line is looked for in pieces.
const maxPiece = 256

// pattern is one text to look for.
type pattern struct {
	text string
	// base64 patterns hold only the characters that the secret alone decides;
	// the neighbours that it shares with other bytes are masked as well.
	base64 bool
}

// pieces cuts a secret into what is looked for: its lines, and long lines into
// parts that overlap at the end so that no part is short.
func pieces(secret string) []string {
	var out []string
	for line := range strings.FieldsFuncSeq(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		if utf8.RuneCountInString(line) < MinRunes || strings.HasPrefix(line, "-----") {
			continue // too common, or the frame of a PEM block
		}
		for len(line) > maxPiece {
			cut := maxPiece
			for !utf8.RuneStart(line[cut]) {
				cut--
			}
			out = append(out, line[:cut])
			if len(line)-cut < maxPiece {
				cut = len(line) - maxPiece
				for !utf8.RuneStart(line[cut]) {
					cut--
				}
				line = line[cut:]
				break
			}
			line = line[cut:]
		}
		out = append(out, line)
	}
	return out
}

// patterns returns a piece in all encodings, without doubles.
func patterns(piece string) []pattern {
	texts := map[string]bool{} // text -> is base64
	add := func(list ...string) {
		for _, t := range list {
			if _, known := texts[t]; !known {
				texts[t] = false
			}
		}
	}
	once := append(markup(piece), quotings(piece)...)
	add(piece)
	add(once...)
	for _, t := range once { // a payload inside a payload
		add(markup(t)...)
	}
	add(percent(piece)...)
	le, be := utf16Bytes(piece)
	add(le, be, hex.EncodeToString([]byte(piece)), strings.ToUpper(hex.EncodeToString([]byte(piece))))
	for _, raw := range []string{piece, le} { // UTF-16LE: powershell -EncodedCommand
		for _, t := range base64Forms(raw) {
			if _, known := texts[t]; !known {
				texts[t] = true
			}
		}
	}
	out := make([]pattern, 0, len(texts))
	for t, b64 := range texts {
		if len(t) >= MinRunes {
			out = append(out, pattern{text: t, base64: b64})
		}
	}
	slices.SortFunc(out, func(a, b pattern) int { return strings.Compare(a.text, b.text) })
	return out
}

// markup returns a text escaped for XML and JSON, as the usual writers do it.
func markup(s string) []string {
	var goXML bytes.Buffer
	_ = xml.EscapeText(&goXML, []byte(s)) // a Buffer cannot fail
	minimal := strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(s)
	return []string{
		goXML.String(), minimal,
		strings.ReplaceAll(minimal, ">", "&gt;"),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s),
		jsonText(s, true), jsonText(s, false),
		strings.ReplaceAll(jsonText(s, false), "/", `\/`),
		jsonASCII(s, "%04x"), jsonASCII(s, "%04X"),
	}
}

func jsonText(s string, html bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(html)
	if err := enc.Encode(s); err != nil {
		return s
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// jsonASCII escapes as the writers do that leave only ASCII.
func jsonASCII(s, format string) string {
	var b strings.Builder
	for _, r := range jsonText(s, false) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			b.WriteString(`\u` + fmt.Sprintf(format, u))
		}
	}
	return b.String()
}

// quotings returns a text as quoting in Go, shells and PowerShell shows it.
func quotings(s string) []string {
	inner := func(q string) string { return q[1 : len(q)-1] }
	return []string{
		inner(strconv.Quote(s)), inner(strconv.QuoteToASCII(s)),
		strings.ReplaceAll(s, `'`, `'\''`),
		strings.ReplaceAll(s, `'`, `'"'"'`),
		strings.ReplaceAll(s, `'`, `''`),
		strings.ReplaceAll(s, `"`, `""`),
		strings.ReplaceAll(s, `"`, `\"`),
		strings.ReplaceAll(s, `\`, `\\`),
		strings.ReplaceAll(s, `"`, "`\""),
	}
}

// percent returns a text escaped for URLs, with either case of the digits.
func percent(s string) []string {
	component := strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").
		Replace(url.QueryEscape(s))
	user := url.UserPassword("u", s).String()[len("u:"):]
	var all strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&all, "%%%02X", s[i])
	}
	forms := []string{
		url.QueryEscape(s), url.PathEscape(s), component, user, all.String(),
		strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
	}
	for _, f := range forms {
		forms = append(forms, lowerEscapes(f))
	}
	return forms
}

// lowerEscapes makes the digits of %XX lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

func utf16Bytes(s string) (le, be string) {
	var l, b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		l = append(l, byte(u), byte(u>>8))
		b = append(b, byte(u>>8), byte(u))
	}
	return string(l), string(b)
}

// base64Forms returns, for each of the three places that the text can have in
// its group of three bytes, the characters that it alone decides, in the
// standard and the URL alphabet.
func base64Forms(s string) []string {
	var out []string
	for shift := range 3 {
		padded := append(make([]byte, shift), s...)
		enc := base64.RawStdEncoding.EncodeToString(padded)
		first := (shift*8 + 5) / 6
		last := len(padded) * 8 / 6
		if last-first < MinRunes {
			continue
		}
		t := enc[first:last]
		out = append(out, t, strings.NewReplacer("+", "-", "/", "_").Replace(t))
	}
	return out
}
