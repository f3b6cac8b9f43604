package ecc

import "strings"

// portable reports whether every XML reader takes the character in a name. The
// editions of XML 1.0 differ outside ASCII, and parsers that instances run on
// know the older ones: what is true here is in the tables of all of them. The
// first character of a name has a shorter list.
func portable(r rune, first bool) bool {
	switch {
	case r < 0x80:
		return isLetter(byte(r)) || r == '_' || !first && (isDigit(byte(r)) || r == '-' || r == '.')
	case r <= 0xFF: // Latin-1
		return r >= 0xC0 && r != 0xD7 && r != 0xF7
	case r <= 0x3CE: // Greek
		return r >= 0x3A3
	case r <= 0x44F: // Cyrillic
		return 0x410 <= r
	case r <= 0x30FA: // kana
		return 0x3041 <= r && r <= 0x3094 || 0x30A1 <= r
	case r <= 0x9FA5: // Chinese characters
		return 0x4E00 <= r
	default: // Hangul
		return 0xAC00 <= r && r <= 0xD7A3
	}
}

// ElementName returns s as the name of an element or attribute that every XML
// reader takes: another character becomes an underscore, a colon too, because
// it would name a namespace. It is never empty.
func ElementName(s string) string {
	if portableName(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 1)
	for i, r := range s {
		switch {
		case !portable(r, false):
			b.WriteByte('_')
		case i == 0 && !portable(r, true):
			b.WriteByte('_')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

// portableName reports whether s is such a name already.
func portableName(s string) bool {
	for i, r := range s {
		if !portable(r, i == 0) {
			return false
		}
	}
	return s != ""
}
