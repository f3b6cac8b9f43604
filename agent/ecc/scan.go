package ecc

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of what the scanner takes. They are far above what any payload has.
const (
	maxDepth      = 256
	maxAttributes = 256 // of one element
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota // end of the document
	tokenOpen
	tokenClose
	tokenText
)

// token is one piece of a document. Its texts are parts of the document, still
// escaped; references in them were checked.
type token struct {
	kind       tokenKind
	name       string
	attributes []rawAttribute // of tokenOpen; valid until the next token
	text       string         // of tokenText
	cdata      bool           // text is a CDATA section: nothing in it is escaped
	begin, end int            // offsets in the document
}

type rawAttribute struct{ name, value string }

// scanner splits a document into tokens and checks that it is well-formed:
// elements nest, names and references are valid, attributes are unique. It
// knows no document type declaration.
type scanner struct {
	s        string
	pos      int
	open     []string // names of the open elements
	attrs    []rawAttribute
	closing  bool // the last token was an empty element, to be closed
	fragment bool // no root element is asked for
	rooted   bool
}

// newScanner checks the characters of s and skips a byte order mark and the
// XML declaration. The encoding that a declaration names is not looked at: s is
// text already.
func newScanner(s string, fragment bool) (*scanner, error) {
	if err := checkChars(s); err != nil {
		return nil, err
	}
	c := &scanner{s: s, fragment: fragment}
	if strings.HasPrefix(s, "\uFEFF") {
		c.pos = len("\uFEFF")
	}
	if !fragment && strings.HasPrefix(s[c.pos:], "<?xml") && len(s) > c.pos+5 && isSpace(s[c.pos+5]) {
		if err := c.skipPast("?>", "the XML declaration"); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// fail returns an error with the line of an offset.
func (c *scanner) fail(at int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", lineAt(c.s, min(at, len(c.s))), fmt.Errorf(format, args...))
}

// next returns the next token; comments and processing instructions are skipped.
func (c *scanner) next() (token, error) {
	if c.closing {
		c.closing = false
		return c.close(c.pos, c.open[len(c.open)-1])
	}
	for c.pos < len(c.s) {
		rest := c.s[c.pos:]
		switch {
		case rest[0] != '<':
			t, err := c.text()
			if err != nil || len(c.open) > 0 || c.fragment {
				return t, err
			}
		case strings.HasPrefix(rest, "<!--"):
			if err := c.comment(); err != nil {
				return token{}, err
			}
		case strings.HasPrefix(rest, "<![CDATA["):
			return c.cdata()
		case strings.HasPrefix(rest, "<!"):
			return token{}, c.fail(c.pos, "a document type declaration is not allowed")
		case strings.HasPrefix(rest, "<?"):
			if err := c.instruction(); err != nil {
				return token{}, err
			}
		case strings.HasPrefix(rest, "</"):
			return c.endTag()
		default:
			return c.startTag()
		}
	}
	switch {
	case len(c.open) > 0:
		return token{}, fmt.Errorf("<%.80s> is not closed", c.open[len(c.open)-1])
	case !c.rooted && !c.fragment:
		return token{}, errors.New("it is no XML: there is no element")
	}
	return token{kind: tokenEnd, begin: len(c.s), end: len(c.s)}, nil
}

// text reads up to the next tag. Outside the root only white space may stand.
func (c *scanner) text() (token, error) {
	begin := c.pos
	c.pos = len(c.s)
	if n := strings.IndexByte(c.s[begin:], '<'); n >= 0 {
		c.pos = begin + n
	}
	t := token{kind: tokenText, text: c.s[begin:c.pos], begin: begin, end: c.pos}
	if len(c.open) == 0 && !c.fragment && strings.Trim(t.text, " \t\r\n") != "" {
		if !c.rooted {
			return t, c.fail(begin, "it is no XML: text before the first element")
		}
		return t, c.fail(begin, "text behind the last element")
	}
	if strings.Contains(t.text, "]]>") {
		return t, c.fail(begin, "]]> outside a CDATA section")
	}
	return t, c.references(t.text, begin)
}

func (c *scanner) comment() error {
	begin := c.pos
	c.pos += len("<!--")
	n := strings.Index(c.s[c.pos:], "--")
	if n < 0 || !strings.HasPrefix(c.s[c.pos+n:], "-->") {
		return c.fail(begin, "a comment is not closed, or holds --")
	}
	c.pos += n + len("-->")
	return nil
}

func (c *scanner) cdata() (token, error) {
	begin := c.pos
	if len(c.open) == 0 && !c.fragment {
		return token{}, c.fail(begin, "a CDATA section outside the root element")
	}
	if err := c.skipPast("]]>", "a CDATA section"); err != nil {
		return token{}, err
	}
	return token{kind: tokenText, cdata: true, text: c.s[begin+len("<![CDATA[") : c.pos-len("]]>")], begin: begin, end: c.pos}, nil
}

func (c *scanner) instruction() error {
	name := c.s[c.pos+2:]
	n := nameLen(name)
	if n == 0 || strings.EqualFold(name[:n], "xml") {
		return c.fail(c.pos, "a processing instruction without a name, or a second XML declaration")
	}
	if rest := name[n:]; rest != "" && !isSpace(rest[0]) && !strings.HasPrefix(rest, "?>") {
		return c.fail(c.pos, "a processing instruction with an invalid name")
	}
	return c.skipPast("?>", "a processing instruction")
}

func (c *scanner) skipPast(end, what string) error {
	n := strings.Index(c.s[c.pos:], end)
	if n < 0 {
		return c.fail(c.pos, "%s is not closed", what)
	}
	c.pos += n + len(end)
	return nil
}

func (c *scanner) endTag() (token, error) {
	begin := c.pos
	n := nameLen(c.s[begin+2:])
	name := c.s[begin+2 : begin+2+n]
	c.pos = begin + 2 + n
	c.skipSpace()
	if n == 0 || c.pos >= len(c.s) || c.s[c.pos] != '>' {
		return token{}, c.fail(begin, "an end tag is malformed")
	}
	c.pos++
	return c.close(begin, name)
}

func (c *scanner) close(begin int, name string) (token, error) {
	if len(c.open) == 0 {
		return token{}, c.fail(begin, "</%.80s> closes nothing", name)
	}
	if last := c.open[len(c.open)-1]; last != name {
		return token{}, c.fail(begin, "</%.80s> closes <%.80s>", name, last)
	}
	c.open = c.open[:len(c.open)-1]
	return token{kind: tokenClose, name: name, begin: begin, end: c.pos}, nil
}

func (c *scanner) skipSpace() bool {
	begin := c.pos
	for c.pos < len(c.s) && isSpace(c.s[c.pos]) {
		c.pos++
	}
	return c.pos > begin
}

func (c *scanner) startTag() (token, error) {
	begin := c.pos
	n := nameLen(c.s[begin+1:])
	if n == 0 {
		return token{}, c.fail(begin, "< without a name")
	}
	if len(c.open) == 0 && c.rooted && !c.fragment {
		return token{}, c.fail(begin, "a second root element")
	}
	if len(c.open) >= maxDepth {
		return token{}, c.fail(begin, "elements nest deeper than %d", maxDepth)
	}
	t := token{kind: tokenOpen, name: c.s[begin+1 : begin+1+n], begin: begin}
	c.pos = begin + 1 + n
	c.rooted = true
	c.attrs = c.attrs[:0]
	for {
		spaced := c.skipSpace()
		rest := c.s[c.pos:]
		switch {
		case strings.HasPrefix(rest, ">"):
			c.pos++
		case strings.HasPrefix(rest, "/>"):
			c.pos += 2
			c.closing = true
		case !spaced:
			return token{}, c.fail(begin, "the tag <%.80s> is malformed", t.name)
		default:
			if err := c.attribute(); err != nil {
				return token{}, err
			}
			continue
		}
		c.open = append(c.open, t.name)
		t.attributes, t.end = c.attrs, c.pos
		return t, nil
	}
}

// attribute reads one name="value".
func (c *scanner) attribute() error {
	begin := c.pos
	n := nameLen(c.s[begin:])
	a := rawAttribute{name: c.s[begin : begin+n]}
	c.pos = begin + n
	c.skipSpace()
	if n == 0 || c.pos >= len(c.s) || c.s[c.pos] != '=' {
		return c.fail(begin, "an attribute is malformed")
	}
	c.pos++
	c.skipSpace()
	if c.pos >= len(c.s) || c.s[c.pos] != '"' && c.s[c.pos] != '\'' {
		return c.fail(begin, "the attribute %.80q has no quoted value", a.name)
	}
	quote := c.s[c.pos]
	c.pos++
	size := strings.IndexByte(c.s[c.pos:], quote)
	if size < 0 {
		return c.fail(begin, "the value of the attribute %.80q is not closed", a.name)
	}
	a.value = c.s[c.pos : c.pos+size]
	if strings.IndexByte(a.value, '<') >= 0 {
		return c.fail(begin, "the value of the attribute %.80q holds <", a.name)
	}
	if err := c.references(a.value, c.pos); err != nil {
		return err
	}
	c.pos += size + 1
	if len(c.attrs) >= maxAttributes {
		return c.fail(begin, "an element has more than %d attributes", maxAttributes)
	}
	for _, have := range c.attrs {
		if have.name == a.name {
			return c.fail(begin, "the attribute %.80q is there twice", a.name)
		}
	}
	c.attrs = append(c.attrs, a)
	return nil
}

// references checks every reference in a text at an offset of the document.
func (c *scanner) references(text string, at int) error {
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '&')
		if n < 0 {
			return nil
		}
		i += n
		_, size := reference(text[i:])
		if size == 0 {
			return c.fail(at+i, "%.20q is no reference that is allowed here; & must be written &amp;", text[i:])
		}
		i += size
	}
}
