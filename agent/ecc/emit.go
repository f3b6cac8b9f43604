package ecc

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// flushSize is how much an emitter with a writer gathers before it writes.
const flushSize = 32 << 10

// maxIdle is how many reads without data or error end a copy.
const maxIdle = 100

// emitter writes XML to a buffer, and from there to a writer where it has one.
// The first error stays.
type emitter struct {
	buf []byte
	w   io.Writer
	err error
}

// raw writes what is XML already.
func (e *emitter) raw(s string) {
	e.buf = append(e.buf, s...)
	e.drain(flushSize)
}

// drain hands the buffer on when it holds at least that much.
func (e *emitter) drain(least int) {
	if e.w == nil || len(e.buf) < least {
		return
	}
	if e.err == nil {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// text writes s as the text of an element.
func (e *emitter) text(s string) {
	if e.w == nil {
		e.buf = appendEscaped(e.buf, s, false)
		return
	}
	for s != "" {
		n := wholeRunes(s, flushSize)
		e.buf = appendEscaped(e.buf, s[:n], false)
		e.drain(flushSize)
		s = s[n:]
	}
}

// wholeRunes returns the length of the longest start of s of at most most bytes
// that does not cut a character.
func wholeRunes(s string, most int) int {
	if len(s) <= most {
		return len(s)
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return n
		}
	}
	return most // not UTF-8: any place will do
}

// attribute writes a name and its value, with a space before.
func (e *emitter) attribute(name, value string) {
	e.buf = append(e.buf, ' ')
	e.buf = append(e.buf, ElementName(name)...)
	e.buf = append(e.buf, '=', '"')
	e.buf = appendEscaped(e.buf, value, true)
	e.buf = append(e.buf, '"')
	e.drain(flushSize)
}

// parameter writes one <parameter>.
func (e *emitter) parameter(name, value string) {
	e.buf = append(e.buf, "<parameter name=\""...)
	e.buf = appendEscaped(e.buf, name, true)
	e.buf = append(e.buf, "\" value=\""...)
	e.buf = appendEscaped(e.buf, value, true)
	e.buf = append(e.buf, "\"/>"...)
	e.drain(flushSize)
}

// stream writes what a reader holds as the text of an element.
func (e *emitter) stream(open func() (io.ReadCloser, error)) {
	if e.err != nil {
		return
	}
	r, err := open()
	if err != nil {
		e.err = err
		return
	}
	e.err = e.copyText(r)
	if err := r.Close(); e.err == nil {
		e.err = err
	}
}

func (e *emitter) copyText(r io.Reader) error {
	chunk := make([]byte, flushSize)
	have, idle := 0, 0
	for {
		n, err := r.Read(chunk[have:])
		have += n
		if idle++; n > 0 {
			idle = 0
		}
		last := err != nil
		whole := have
		if !last {
			whole -= cutRune(chunk[:have])
		}
		e.text(string(chunk[:whole]))
		have = copy(chunk, chunk[whole:have])
		switch {
		case e.err != nil:
			return e.err
		case errors.Is(err, io.EOF):
			return nil
		case last:
			return err
		case idle == maxIdle:
			return io.ErrNoProgress
		}
	}
}

// cutRune returns how many bytes at the end of b begin a character that is not
// whole.
func cutRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// appendEscaped appends s with everything escaped that has a meaning in XML,
// and with what XML cannot hold made visible. In an attribute, white space is
// escaped too, or readers would turn it into spaces.
func appendEscaped(dst []byte, s string, attribute bool) []byte {
	begin := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 || !isChar(r) {
				dst = append(append(dst, s[begin:i]...), "\uFFFD"...)
				begin = i + size
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '&' && c != '<' && c != '>' && c != '"' {
			i++
			continue
		}
		if rep := escapeOf(c, attribute); rep != "" {
			dst = append(append(dst, s[begin:i]...), rep...)
			begin = i + 1
		} else if c < 0x20 && !isSpace(c) {
			dst = utf8.AppendRune(append(dst, s[begin:i]...), picture(c))
			begin = i + 1
		}
		i++
	}
	return append(dst, s[begin:]...)
}

func escapeOf(c byte, attribute bool) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '\r':
		return "&#13;"
	}
	if attribute {
		switch c {
		case '"':
			return "&quot;"
		case '\t':
			return "&#9;"
		case '\n':
			return "&#10;"
		}
	}
	return ""
}

// picture returns the visible form of a control character (Unicode block
// Control Pictures).
func picture(c byte) rune { return 0x2400 + rune(c) }

// Sanitize returns s as a reader of a result gets it: control characters as
// their pictures, what is not Unicode text as U+FFFD (see the package comment).
func Sanitize(s string) string {
	if checkChars(s) == nil {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/8)
	for i, r := range s {
		switch {
		case r < 0x20 && !isSpace(s[i]):
			b.WriteRune(picture(s[i]))
		case isChar(r):
			b.WriteRune(r)
		default:
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}
