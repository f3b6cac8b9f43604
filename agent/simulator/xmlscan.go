package simulator

import "strings"

// xmlTag is a start tag of an XML text.
type xmlTag struct {
	name  string
	attrs string // what stands between the name and the end of the tag
	after string // the text up to the next markup
}

// scanTags calls yield with the start tags of an XML text, in order, until it
// returns false. It is a scanner for the business rules, which need a few tags
// of payloads of any size: it copies nothing, expands no entity, skips
// comments, CDATA and declarations, and ends at the first broken tag.
func scanTags(text string, yield func(xmlTag) bool) {
	for {
		i := strings.IndexByte(text, '<')
		if i < 0 {
			return
		}
		text = text[i+1:]
		end := ""
		switch {
		case strings.HasPrefix(text, "!--"):
			end = "-->"
		case strings.HasPrefix(text, "![CDATA["):
			end = "]]>"
		case strings.HasPrefix(text, "?"):
			end = "?>"
		case strings.HasPrefix(text, "!"), strings.HasPrefix(text, "/"):
			end = ">"
		}
		if end != "" {
			_, rest, ok := strings.Cut(text, end)
			if !ok {
				return
			}
			text = rest
			continue
		}
		n := tagEnd(text)
		if n < 0 {
			return
		}
		body := strings.TrimSuffix(text[:n], "/")
		text = text[n+1:]
		name, attrs := body, ""
		if at := strings.IndexAny(body, " \t\r\n"); at >= 0 {
			name, attrs = body[:at], body[at:]
		}
		after := text
		if at := strings.IndexByte(text, '<'); at >= 0 {
			after = text[:at]
		}
		if !yield(xmlTag{name, attrs, after}) {
			return
		}
	}
}

// tagEnd finds the ">" that ends a tag, passing over quoted attribute values.
func tagEnd(text string) int {
	quote := byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return -1
}

// attr returns an attribute of the tag as it stands, entities unexpanded.
func (t xmlTag) attr(name string) string {
	rest := t.attrs
	for {
		rest = strings.TrimLeft(rest, " \t\r\n")
		key, val, ok := strings.Cut(rest, "=")
		val = strings.TrimLeft(val, " \t\r\n")
		if !ok || val == "" || (val[0] != '"' && val[0] != '\'') {
			return ""
		}
		value, next, ok := strings.Cut(val[1:], val[:1])
		if !ok {
			return ""
		}
		if strings.TrimSpace(key) == name {
			return value
		}
		rest = next
	}
}
