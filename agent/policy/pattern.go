package policy

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a command pattern: its words, each a list of literal parts with a
// star between each two.
type pattern struct {
	words [][]string
	tail  bool // a last word * stands for one or more words
}

var (
	errEmptyPattern = errors.New("the pattern is empty")
	errProgramStar  = errors.New("the pattern begins with * and would allow any program")
	errDots         = errors.New("a word of the pattern has both * and the parent folder")
	errShellChars   = errors.New("the pattern has a character that only a shell understands")
	errOpenQuote    = errors.New("a quote of the pattern is not closed")
	errNotText      = errors.New("the pattern is not UTF-8 text")
	errInsideQuotes = errors.New("the pattern has a character that a shell expands inside quotes")
)

// parsePattern reads a pattern by the quoting rules of connectors.Words, with
// the unquoted star on top of them.
func parsePattern(text string) (pattern, error) {
	p := wordParser{}
	if !utf8.ValidString(text) {
		return pattern{}, errNotText
	}
	for _, r := range text {
		if err := p.next(r); err != nil {
			return pattern{}, err
		}
	}
	if p.quote != 0 {
		return pattern{}, errOpenQuote
	}
	p.flush()
	out := pattern{words: p.words}
	if len(out.words) == 0 {
		return pattern{}, errEmptyPattern
	}
	if last := out.words[len(out.words)-1]; slices.Equal(last, []string{"", ""}) {
		out.tail = true
		out.words = out.words[:len(out.words)-1]
	}
	return out, nil
}

// strict refuses what an allow rule may not say.
func (p pattern) strict() error {
	if len(p.words) == 0 || len(p.words[0]) > 1 && p.words[0][0] == "" {
		return errProgramStar
	}
	for _, w := range p.words {
		if len(w) > 1 && strings.Contains(strings.Join(w, ""), "..") {
			return errDots
		}
	}
	return nil
}

type wordParser struct {
	words  [][]string
	parts  []string
	word   strings.Builder
	inWord bool
	quote  rune
}

func (p *wordParser) next(r rune) error {
	switch {
	case r == 0:
		return errShellChars
	case p.quote != 0 && r == p.quote:
		p.quote = 0
	case p.quote == '"' && strings.ContainsRune("$`%!\n\r", r):
		return errInsideQuotes
	case p.quote != 0:
		p.word.WriteRune(r)
	case r == '\'' || r == '"':
		p.quote, p.inWord = r, true
	case r == ' ' || r == '\t':
		p.flush()
	case r == '*':
		p.parts = append(p.parts, p.word.String())
		p.word.Reset()
		p.inWord = true
	case strings.ContainsRune("|&;<>()$`?[]{}~#!^%\n\r", r):
		return errShellChars
	default:
		p.word.WriteRune(r)
		p.inWord = true
	}
	return nil
}

func (p *wordParser) flush() {
	if !p.inWord {
		return
	}
	p.words = append(p.words, append(p.parts, p.word.String()))
	p.parts, p.inWord = nil, false
	p.word.Reset()
}

// stars says what a star may stand for.
type stars struct {
	// free lets it stand for anything: the reading of deny rules.
	free    bool
	windows bool
}

// matches reports whether a command's words fit.
func (p pattern) matches(words []string, s stars) bool {
	if len(words) < len(p.words) || !p.tail && len(words) > len(p.words) {
		return false
	}
	if p.tail && len(words) == len(p.words) && !s.free {
		return false
	}
	for i, w := range p.words {
		if !s.word(w, words[i]) {
			return false
		}
	}
	for _, w := range words[len(p.words):] {
		if !s.free && !s.fits(w) {
			return false
		}
	}
	return true
}

// word reports whether one word fits its parts.
func (s stars) word(parts []string, word string) bool {
	if s.free {
		word = strings.ToLower(word)
	}
	if len(parts) == 1 {
		return s.lower(parts[0]) == word
	}
	// A .. that a star and a literal make together climbs as well.
	if !s.free && strings.Contains(word, "..") {
		return false
	}
	first, last := s.lower(parts[0]), s.lower(parts[len(parts)-1])
	if !strings.HasPrefix(word, first) {
		return false
	}
	return s.rest(parts[1:len(parts)-1], word[len(first):], last)
}

func (s stars) lower(literal string) string {
	if s.free {
		return strings.ToLower(literal)
	}
	return literal
}

// rest matches what follows a literal: a star, then the literals in the middle
// with stars between, then the last literal. The nearest place for a literal is
// tried first and is enough, because every star has the same alphabet; only
// what a star may begin with is asked of each place.
func (s stars) rest(middle []string, text, last string) bool {
	for _, lit := range middle {
		lit = s.lower(lit)
		from := 0
		if !s.free {
			from = 1
		}
		if len(text) < from {
			return false
		}
		at := strings.Index(text[from:], lit)
		if at < 0 || !s.free && !s.fits(text[:from+at]) {
			return false
		}
		text = text[from+at+len(lit):]
	}
	if !strings.HasSuffix(text, last) {
		return false
	}
	return s.free || s.fits(strings.TrimSuffix(text, last))
}

// fits reports whether a star of an allow rule may stand for a text.
func (s stars) fits(text string) bool {
	if text == "" || text[0] == '-' || strings.Contains(text, "..") {
		return false
	}
	// Options of Windows programs begin with a slash, and a network path makes
	// Windows log in to the host that it names.
	if s.windows && (text[0] == '/' || strings.HasPrefix(text, `\\`)) {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("_./:@=,+-", c) >= 0:
		case c == '\\' && s.windows:
		default:
			return false
		}
	}
	return true
}
