package servicenow

import (
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The answers of an instance are read by this small JSON reader and not by
// encoding/json, for three reasons: it flattens references while it reads, it
// bounds depth and number of values whatever the instance sends, and lists are
// the hot path of polling.

var (
	errJSONEnd   = errors.New("unexpected end of JSON")
	errJSON      = errors.New("invalid JSON")
	errJSONDepth = errors.New("nested too deeply")
	errJSONSize  = errors.New("too many values")
)

const (
	maxDepth  = 32
	maxValues = 1_000_000
)

// scanner reads one JSON text. Its methods return an error and leave the
// position undefined afterwards.
type scanner struct {
	data   []byte
	pos    int
	depth  int
	values int
	keys   map[string]string // interned column names
}

func newScanner(data []byte) *scanner {
	return &scanner{data: data, keys: make(map[string]string, 32)}
}

// peek skips white space and returns the next byte without taking it.
func (s *scanner) peek() (byte, error) {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c, nil
		}
	}
	return 0, errJSONEnd
}

func (s *scanner) expect(want byte) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c != want {
		return errJSON
	}
	s.pos++
	return nil
}

// end checks that nothing but white space follows.
func (s *scanner) end() error {
	if _, err := s.peek(); !errors.Is(err, errJSONEnd) {
		return errJSON
	}
	return nil
}

// object calls member for each key; member must read exactly one value.
func (s *scanner) object(member func(key string) error) error {
	return s.container('{', '}', func() error {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// array calls element before each element; element must read exactly one value.
func (s *scanner) array(element func() error) error { return s.container('[', ']', element) }

func (s *scanner) container(opening, closing byte, item func() error) error {
	if err := s.expect(opening); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return errJSONDepth
	}
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c == closing {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if s.values++; s.values > maxValues {
			return errJSONSize
		}
		if err := item(); err != nil {
			return err
		}
		if c, err = s.peek(); err != nil {
			return err
		}
		s.pos++
		switch c {
		case closing:
			s.depth--
			return nil
		case ',':
		default:
			return errJSON
		}
	}
}

// key reads a string and interns it.
func (s *scanner) key() (string, error) {
	raw, plain, err := s.rawString()
	if err != nil {
		return "", err
	}
	if !plain {
		return unquote(raw)
	}
	if k, ok := s.keys[string(raw)]; ok {
		return k, nil
	}
	k := string(raw)
	if len(s.keys) < 1000 {
		s.keys[k] = k
	}
	return k, nil
}

// text reads any scalar as text: null is "", numbers and booleans keep their
// letters.
func (s *scanner) text() (string, error) {
	c, err := s.peek()
	if err != nil {
		return "", err
	}
	if c == '"' {
		raw, plain, err := s.rawString()
		if err != nil {
			return "", err
		}
		if plain {
			return string(raw), nil
		}
		return unquote(raw)
	}
	word, err := s.word()
	if err != nil {
		return "", err
	}
	if string(word) == "null" {
		return "", nil
	}
	return string(word), nil
}

// word reads null, true, false or a number.
func (s *scanner) word() ([]byte, error) {
	start := s.pos
	for s.pos < len(s.data) && isWordByte(s.data[s.pos]) {
		s.pos++
	}
	w := s.data[start:s.pos]
	if s.pos == len(s.data) && s.depth > 0 {
		return nil, errJSONEnd
	}
	switch string(w) {
	case "null", "true", "false":
		return w, nil
	case "":
		return nil, errJSON
	}
	if _, err := strconv.ParseFloat(string(w), 64); err != nil && !errors.Is(err, strconv.ErrRange) || !isNumberStart(w[0]) {
		return nil, errJSON
	}
	return w, nil
}

func isWordByte(c byte) bool {
	return isLower(c) || isDigit(c) || c == '-' || c == '+' || c == '.' || c == 'E'
}

func isNumberStart(c byte) bool { return isDigit(c) || c == '-' }

// rawString reads a string and returns what stands between the quotes; plain
// says that it holds no escapes and is valid UTF-8.
func (s *scanner) rawString() (raw []byte, plain bool, err error) {
	if err := s.expect('"'); err != nil {
		return nil, false, err
	}
	start, ascii, escaped := s.pos, true, false
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw = s.data[start:s.pos]
			s.pos++
			return raw, !escaped && (ascii || utf8.Valid(raw)), nil
		case c == '\\':
			escaped = true
			s.pos += 2
		case c < ' ':
			return nil, false, errJSON
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.pos++
		}
	}
	return nil, false, errJSONEnd
}

// unquote resolves the escapes of a JSON string; invalid UTF-8 and lone
// surrogates become U+FFFD.
func unquote(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\':
			var err error
			if out, i, err = unescape(out, raw, i); err != nil {
				return "", err
			}
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, size := utf8.DecodeRune(raw[i:])
			out = utf8.AppendRune(out, r)
			i += size
		}
	}
	return string(out), nil
}

// unescape resolves the escape at raw[i] and returns the index behind it.
func unescape(out, raw []byte, i int) (longer []byte, next int, err error) {
	if i+1 >= len(raw) {
		return out, i, errJSON
	}
	switch c := raw[i+1]; c {
	case '"', '\\', '/':
		return append(out, c), i + 2, nil
	case 'b':
		return append(out, '\b'), i + 2, nil
	case 'f':
		return append(out, '\f'), i + 2, nil
	case 'n':
		return append(out, '\n'), i + 2, nil
	case 'r':
		return append(out, '\r'), i + 2, nil
	case 't':
		return append(out, '\t'), i + 2, nil
	case 'u':
		r, err := hex4(raw, i+2)
		if err != nil {
			return out, i, err
		}
		i += 6
		if utf16.IsSurrogate(r) {
			low, err := hex4(raw, i+2)
			pair := utf8.RuneError
			if err == nil && raw[i] == '\\' && raw[i+1] == 'u' {
				pair = utf16.DecodeRune(r, low)
			}
			if r = pair; r != utf8.RuneError {
				i += 6
			}
		}
		return utf8.AppendRune(out, r), i, nil
	default:
		return out, i, errJSON
	}
}

func hex4(raw []byte, i int) (rune, error) {
	if i+4 > len(raw) {
		return 0, errJSON
	}
	n, err := strconv.ParseUint(string(raw[i:i+4]), 16, 16)
	if err != nil {
		return 0, errJSON
	}
	return rune(n), nil
}

// base64Bytes reads a string of standard base64, or null.
func (s *scanner) base64Bytes() ([]byte, error) {
	t, err := s.text()
	if err != nil || t == "" {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(t)
	if err != nil {
		return nil, errJSON
	}
	return b, nil
}

// skip reads and drops one value.
func (s *scanner) skip() error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"':
		_, _, err := s.rawString()
		return err
	default:
		_, err := s.word()
		return err
	}
}
