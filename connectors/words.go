package connectors

import (
	"errors"
	"strings"
)

// ErrNeedsShell reports a command text that has no meaning without a shell.
var ErrNeedsShell = errors.New("the command needs a shell")

// ErrQuote reports a quote that is not closed.
var ErrQuote = errors.New("a quote is not closed")

// shellOnly are the characters that, outside quotes, only a shell understands:
// on none of the platforms can a command with one of them be an argument vector.
const shellOnly = "|&;<>()$`*?[]{}~#!^%\n\r\x00"

// Words splits a command text into its argument vector: words separated by
// spaces and tabs; '...' and "..." keep what is inside together, and hold no
// escapes. A backslash is an ordinary character (a Windows path). Characters
// that only a shell understands give ErrNeedsShell, also inside double quotes
// where a shell would expand them ($, ` and %): what a person who reads the
// text would expect must be what runs.
func Words(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote rune
	for _, r := range text {
		switch {
		case r == 0:
			return nil, ErrNeedsShell
		case quote != 0 && r == quote:
			quote = 0
		case quote == '"' && strings.ContainsRune("$`%!\n\r", r):
			return nil, ErrNeedsShell
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case strings.ContainsRune(shellOnly, r):
			return nil, ErrNeedsShell
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, ErrQuote
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
