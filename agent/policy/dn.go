package policy

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

var errDN = errors.New("it is no distinguished name (RFC 4514)")

// maxDN bounds a distinguished name.
const maxDN = 8 << 10

// dn is a distinguished name in its one form: relative names from the object
// up, each "type=value" (several sorted and joined by NUL), without regard to
// case and to the number of spaces inside.
type dn []string

// parseDN reads the string form of RFC 4514. Values in the #hex form are
// refused: they cannot be compared with others without the directory's schema.
func parseDN(text string) (dn, error) {
	if text == "" || len(text) > maxDN || !utf8.ValidString(text) {
		return nil, errDN
	}
	var out dn
	var set []string
	for rest, more := text, true; more; {
		pair, sep, after, err := cutPair(rest)
		if err != nil {
			return nil, err
		}
		set = append(set, pair)
		if sep != '+' {
			slices.Sort(set)
			out = append(out, strings.Join(set, "\x00"))
			set = nil
		}
		rest, more = after, sep != 0
	}
	return out, nil
}

// cutPair reads one type=value and the separator after it, 0 at the end.
func cutPair(s string) (pair string, sep byte, rest string, err error) {
	kind, value, ok := strings.Cut(s, "=")
	kind = attributeType(strings.TrimSpace(kind))
	if !ok || kind == "" {
		return "", 0, "", errDN
	}
	value = strings.TrimLeft(value, " ")
	if strings.HasPrefix(value, "#") {
		return "", 0, "", errDN
	}
	var b []byte
	kept := 0 // bytes up to here were escaped or no space, and are not trimmed
	i := 0
loop:
	for i < len(value) {
		switch c := value[i]; c {
		case ',', '+':
			sep = c
			break loop
		case '\\':
			raw, n, ok := unescape(value[i:])
			if !ok {
				return "", 0, "", errDN
			}
			b = append(b, raw)
			i += n
			kept = len(b)
		case '"', ';', '<', '>', 0, '\n', '\r':
			return "", 0, "", errDN // RFC 4514 wants these escaped
		default:
			b = append(b, c)
			if c != ' ' {
				kept = len(b)
			}
			i++
		}
	}
	if sep != 0 {
		rest = value[i+1:]
	}
	b = b[:kept]
	if len(b) == 0 || !utf8.Valid(b) || slices.Contains(b, 0) {
		return "", 0, "", errDN
	}
	return kind + "=" + strings.ToLower(strings.Join(strings.Fields(string(b)), " ")), sep, rest, nil
}

func unescape(s string) (c byte, n int, ok bool) {
	if len(s) < 2 {
		return 0, 0, false
	}
	if strings.IndexByte(" \"#+,;<=>\\", s[1]) >= 0 {
		return s[1], 2, true
	}
	if len(s) < 3 {
		return 0, 0, false
	}
	raw, err := hex.DecodeString(s[1:3])
	if err != nil {
		return 0, 0, false
	}
	return raw[0], 3, true
}

// attributeType returns the one name of an attribute type, "" for what is none.
func attributeType(s string) string {
	s = strings.TrimPrefix(strings.ToLower(s), "oid.")
	switch s { // RFC 4514, section 3
	case "2.5.4.3":
		return "cn"
	case "2.5.4.6":
		return "c"
	case "2.5.4.7":
		return "l"
	case "2.5.4.8":
		return "st"
	case "2.5.4.9":
		return "street"
	case "2.5.4.10":
		return "o"
	case "2.5.4.11":
		return "ou"
	case "0.9.2342.19200300.100.1.1":
		return "uid"
	case "0.9.2342.19200300.100.1.25":
		return "dc"
	}
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return ""
	}
	return s
}

// under reports whether d is base or below it.
func (d dn) under(base dn) bool {
	return len(d) >= len(base) && slices.Equal(d[len(d)-len(base):], base)
}
