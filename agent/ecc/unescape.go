package ecc

import "strings"

// maxReference is the length of the longest reference with a reasonable number
// of leading zeros.
const maxReference = 16

// reference returns the character that the reference at the start of s stands
// for, and the length of the reference; 0 when it is none. Only the five
// built-in entities and character references exist.
func reference(s string) (rune, int) {
	end := strings.IndexByte(s[:min(len(s), maxReference)], ';')
	if end < 0 {
		return 0, 0
	}
	switch body := s[1:end]; body {
	case "amp":
		return '&', end + 1
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	default:
		r, ok := number(body)
		if !ok {
			return 0, 0
		}
		return r, end + 1
	}
}

// number reads "#60" or "#x3C".
func number(body string) (rune, bool) {
	digits, ok := strings.CutPrefix(body, "#")
	base := rune(10)
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	if !ok || digits == "" {
		return 0, false
	}
	var r rune
	for i := range len(digits) {
		d := rune(99)
		switch c := digits[i]; {
		case isDigit(c):
			d = rune(c - '0')
		case isLetter(c):
			d = rune(c|0x20-'a') + 10
		}
		if r = r*base + d; d >= base || r > 0x10FFFF {
			return 0, false
		}
	}
	return r, isChar(r)
}

// unescapeText returns the text of an element: references resolved, line ends
// as newlines (XML 1.0, section 2.11).
func unescapeText(raw string) string { return unescape(raw, "&\r", false) }

// unescapeAttribute returns the value of an attribute: references resolved, and
// white space that is not written as a reference turned into spaces (XML 1.0,
// section 3.3.3), as every XML reader does it.
func unescapeAttribute(raw string) string { return unescape(raw, "&\r\n\t", true) }

func unescape(raw, special string, attribute bool) string {
	n := strings.IndexAny(raw, special)
	if n < 0 {
		return raw
	}
	newline := byte('\n')
	if attribute {
		newline = ' '
	}
	var b strings.Builder
	b.Grow(len(raw))
	for n >= 0 {
		b.WriteString(raw[:n])
		size := 1
		switch raw[n] {
		case '&':
			r, length := reference(raw[n:])
			b.WriteRune(r)
			size = max(length, 1)
		case '\r':
			b.WriteByte(newline)
			if strings.HasPrefix(raw[n:], "\r\n") {
				size = 2
			}
		default:
			b.WriteByte(' ')
		}
		raw = raw[n+size:]
		n = strings.IndexAny(raw, special)
	}
	b.WriteString(raw)
	return b.String()
}

// unescapeCDATA returns the text of a CDATA section, which has line ends only.
func unescapeCDATA(raw string) string { return unescape(raw, "\r", false) }
