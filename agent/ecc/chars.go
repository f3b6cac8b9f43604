package ecc

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// isChar reports whether XML 1.0 (section 2.2) can hold the character.
func isChar(r rune) bool {
	switch {
	case r < 0x20:
		return r == '\t' || r == '\n' || r == '\r'
	case r <= 0xD7FF:
		return true
	case r <= 0xFFFD:
		return r >= 0xE000
	default:
		return 0x10000 <= r && r <= utf8.MaxRune
	}
}

// checkChars returns an error when s is not text that XML 1.0 can hold.
func checkChars(s string) error {
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x20 && c < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return badByte(s, i)
		}
		if !isChar(r) {
			return fmt.Errorf("line %d holds the character U+%04X, which XML does not allow", lineAt(s, i), r)
		}
		i += size
	}
	return nil
}

// badByte says what the text probably is instead of UTF-8.
func badByte(s string, at int) error {
	if strings.HasPrefix(s, "\xFF\xFE") || strings.HasPrefix(s, "\xFE\xFF") {
		return errors.New("it is UTF-16; only UTF-8 is read")
	}
	return fmt.Errorf("line %d holds the byte 0x%02X, which is not UTF-8", lineAt(s, at), s[at])
}

func lineAt(s string, at int) int { return 1 + strings.Count(s[:at], "\n") }

// isNameStart and isNameChar are the character classes of XML 1.0 (fifth
// edition, section 2.3), with the colon of qualified names.
func isNameStart(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return isLetter(byte(r)) || r == '_' || r == ':'
	case r < 0x370:
		return r >= 0xC0 && r != 0xD7 && r != 0xF7 && r < 0x300
	case r < 0x2000:
		return r != 0x37E
	case r < 0x3001:
		return r == 0x200C || r == 0x200D || 0x2070 <= r && r <= 0x218F || 0x2C00 <= r && r <= 0x2FEF
	default:
		return r <= 0xD7FF || 0xF900 <= r && r <= 0xFDCF || 0xFDF0 <= r && r <= 0xFFFD && r != utf8.RuneError || 0x10000 <= r && r <= 0xEFFFF
	}
}

func isNameChar(r rune) bool {
	return isNameStart(r) || r == '-' || r == '.' || '0' <= r && r <= '9' ||
		r == 0xB7 || 0x300 <= r && r <= 0x36F || r == 0x203F || r == 0x2040
}

// nameLen returns the length of the XML name at the start of s, 0 for none.
func nameLen(s string) int {
	for i, r := range s {
		if i == 0 && !isNameStart(r) || !isNameChar(r) {
			return i
		}
	}
	return len(s)
}
