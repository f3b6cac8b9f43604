package ecc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// maxParameters bounds the parameters of one payload, and its other elements.
const maxParameters = 10_000

// attachmentElement is the root of a payload that the instance keeps as an
// attachment (KB0690210).
const attachmentElement = "see_attachment"

// Parameter is one parameter of a payload.
type Parameter struct {
	Name string
	// Value is the value attribute where there is one, else the text of the
	// element or, where the element has elements, its content as it was written.
	Value string
	// Markup says that Value is XML as it was written.
	Markup bool
}

// Element is an element beside the parameters of a payload, such as the
// envelope of a SOAPProbe.
type Element struct {
	Name  string
	Outer string // as it was written, tags included
	Inner string // as it was written, without its own tags
}

// Text returns the text of an element that holds no elements: references
// resolved, CDATA sections opened. It is false for one that holds elements.
func (e Element) Text() (string, bool) {
	c, err := newScanner(e.Outer, false)
	if err != nil {
		return "", false
	}
	if _, err := c.next(); err != nil {
		return "", false
	}
	in, err := c.content()
	return in.text, err == nil && !in.elements
}

// Payload is a payload that was read. Its texts are parts of the text that it
// was read from.
type Payload struct {
	Root       string // name of the root element; "" of an empty payload
	Parameters []Parameter
	Elements   []Element
	// SeeAttachment says that the payload is in an attachment of the record.
	SeeAttachment bool
}

// Get returns the value of a parameter by its exact name. Of several with the
// same name the last one counts.
func (p Payload) Get(name string) (string, bool) {
	for _, q := range slices.Backward(p.Parameters) {
		if q.Name == name {
			return q.Value, true
		}
	}
	return "", false
}

// Element returns the first element with that name beside the parameters.
func (p Payload) Element(name string) (Element, bool) {
	for _, e := range p.Elements {
		if e.Name == name {
			return e, true
		}
	}
	return Element{}, false
}

// SeeAttachment reports whether the payload says that the real one is an
// attachment of the record.
func SeeAttachment(payload string) bool {
	if len(payload) > 1024 || !strings.Contains(payload, attachmentElement) {
		return false
	}
	p, err := ParsePayload(payload)
	return err == nil && p.SeeAttachment
}

// ParsePayload reads the payload of an output:
//
//	<parameters><parameter name="skip_sensor" value="true"/>…</parameters>
//
// The name of the root does not matter. Parameters keep their order, and those
// of the same name are all kept; a value may also be the content of the
// element. Other elements are kept as they were written. An empty text is an
// empty payload. What is not well-formed, holds a document type declaration or
// goes beyond the bounds of the package gives a [fault.Invalid].
func ParsePayload(s string) (Payload, error) {
	if strings.Trim(s, " \t\r\n\uFEFF") == "" {
		return Payload{}, nil
	}
	p, err := parsePayload(s)
	if err != nil {
		return Payload{}, fault.New(fault.Invalid, "read the payload", "", err).
			WithHint("send <parameters><parameter name=\"…\" value=\"…\"/></parameters>, and escape what XML asks to escape")
	}
	return p, nil
}

func parsePayload(s string) (Payload, error) {
	c, err := newScanner(s, false)
	if err != nil {
		return Payload{}, err
	}
	root, err := c.next()
	if err != nil {
		return Payload{}, err
	}
	p := Payload{Root: root.name, SeeAttachment: root.name == attachmentElement}
	for {
		t, err := c.next()
		if err != nil {
			return p, err
		}
		switch t.kind {
		case tokenEnd:
			return p, nil
		case tokenOpen:
			if err := p.child(c, t); err != nil {
				return p, err
			}
		case tokenClose, tokenText:
		}
	}
}

// child reads one child of the root.
func (p *Payload) child(c *scanner, t token) error {
	if len(p.Parameters)+len(p.Elements) >= maxParameters {
		return fmt.Errorf("it has more than %d parameters", maxParameters)
	}
	if t.name != "parameter" {
		in, err := c.content()
		if err != nil {
			return err
		}
		p.Elements = append(p.Elements, Element{Name: t.name, Outer: c.s[t.begin:c.pos], Inner: in.inner})
		return nil
	}
	var q Parameter
	valued := false
	for _, a := range t.attributes {
		switch a.name {
		case "name":
			q.Name = unescapeAttribute(a.value)
		case "value":
			q.Value, valued = unescapeAttribute(a.value), true
		}
	}
	if q.Name == "" {
		return c.fail(t.begin, "a parameter has no name")
	}
	in, err := c.content()
	if err != nil {
		return err
	}
	switch {
	case valued:
	case in.elements:
		q.Value, q.Markup = in.inner, true
	default:
		q.Value = in.text
	}
	p.Parameters = append(p.Parameters, q)
	return nil
}

// content is what stands between the tags of an element.
type content struct {
	inner    string // as it was written
	text     string // of the element itself; only without elements
	elements bool
}

// content reads up to the end of the element that was opened last.
func (c *scanner) content() (content, error) {
	var in content
	begin, depth := c.pos, 0
	var pieces strings.Builder
	for {
		t, err := c.next()
		if err != nil {
			return in, err
		}
		switch t.kind {
		case tokenOpen:
			in.elements = true
			depth++
		case tokenText:
			if !in.elements {
				in.add(t, &pieces)
			}
		case tokenClose:
			if depth--; depth < 0 {
				if pieces.Len() > 0 {
					in.text = pieces.String()
				}
				in.inner = c.s[begin:max(begin, t.begin)]
				return in, nil
			}
		case tokenEnd:
			return in, errors.New("an element is not closed")
		}
	}
}

// add adds a piece of text. A single piece, the usual case, is not copied.
func (in *content) add(t token, pieces *strings.Builder) {
	text := unescapeText
	if t.cdata {
		text = unescapeCDATA
	}
	if in.text == "" && pieces.Len() == 0 {
		in.text = text(t.text)
		return
	}
	if pieces.Len() == 0 {
		pieces.WriteString(in.text)
	}
	pieces.WriteString(text(t.text))
}
