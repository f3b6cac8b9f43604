package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/secret"
)

// Problem is one mistake in a configuration.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`   // from 1; 0 when it is about no line
	Column  int    `json:"column,omitempty"` // from 1, in characters
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"` // the line and a caret below it
	Hint    string `json:"hint"`
}

// String returns the problem with its excerpt and hint, in several lines.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	if p.Hint != "" {
		b.WriteString("\n  hint: " + p.Hint)
	}
	return b.String()
}

// Problems are all mistakes of a configuration. [Load] returns it inside a
// fault.Invalid; find it with errors.AsType.
type Problems []Problem //nolint:errname // a list of problems first, and an error second

// Error lists the problems.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// asError returns the problems as an error of an operation, nil for none.
func (p Problems) asError(op, subject string) error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return fault.New(fault.Invalid, op, subject, p).WithHint(p[0].Hint)
	default:
		return fault.New(fault.Invalid, op, subject, p).WithHint("correct all of them, then run: sallyport config check")
	}
}

// source is the text of one file.
type source struct {
	file string
	data []byte
}

// mark is a place in a source.
type mark struct {
	src      *source
	off, len int
}

func (m mark) position() (line, column int) {
	before := m.src.data[:m.off]
	line = strings.Count(string(before), "\n") + 1
	start := strings.LastIndexByte(string(before), '\n') + 1
	return line, utf8.RuneCount(before[start:]) + 1
}

// problem makes a problem at a place; the zero mark is no place.
func (m mark) problem(key, message, hint string) Problem {
	p := Problem{Key: key, Message: message, Hint: hint}
	if m.src == nil {
		return p
	}
	p.File = m.src.file
	p.Line, p.Column = m.position()
	p.Excerpt = m.src.excerpt(p.Line, p.Column, m.len)
	return p
}

// excerpt shows a line with a caret below the place.
func (s *source) excerpt(line, column, length int) string {
	lines := strings.Split(string(s.data), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	text := hideSecret(strings.TrimSuffix(lines[line-1], "\r"))
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	const widest = 160
	if r := []rune(text); len(r) > widest {
		text = string(r[:widest]) + "..."
	}
	column = min(column, utf8.RuneCountInString(text)+1)
	length = max(1, min(length, utf8.RuneCountInString(text)-column+1))
	number := fmt.Sprintf("%5d", line)
	return number + " | " + text + "\n      | " + strings.Repeat(" ", column-1) + strings.Repeat("^", length)
}

// secretKey finds the keys whose values may be a secret by mistake.
func secretKey() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(pass|pwd|secret|token|key|credential)`)
}

// hideSecret masks what may be a secret in a line of a file: the values of keys
// that sound like one, unless they are references, and the user part of an
// address.
func hideSecret(line string) string {
	line = regexp.MustCompile(`://[^/\s"'@]*@`).ReplaceAllString(line, "://"+secret.Mask+"@")
	re := regexp.MustCompile(`(?i)((?:pass|pwd|secret|token|key|credential)[\w"'.-]*\s*=\s*)([^=]*(?:=[^=\s]*)*)`)
	return re.ReplaceAllStringFunc(line, func(m string) string {
		parts := re.FindStringSubmatch(m)
		value := strings.Trim(strings.TrimSpace(parts[2]), `"'`)
		if _, err := secret.ParseRef(value); err == nil {
			return m
		}
		return parts[1] + secret.Mask
	})
}

// messageOf returns an error's text without the operation that a fault names,
// and its hint.
func messageOf(err error) (message, hint string) {
	hint = fault.HintOf(err)
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Err != nil {
		return e.Err.Error(), hint
	}
	return err.Error(), hint
}
