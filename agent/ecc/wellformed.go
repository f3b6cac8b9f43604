package ecc

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// WellFormed returns nil when s can stand inside an element as it is: any
// number of elements and texts, without an XML declaration, with every namespace
// prefix that it uses declared in it, and with names that old readers take too. The error is a [fault.Invalid].
func WellFormed(s string) error {
	c, err := newScanner(s, true)
	if err == nil && c.pos > 0 {
		err = errors.New("a byte order mark stands inside a document")
	}
	var scope prefixes
	for err == nil {
		var t token
		if t, err = c.next(); err != nil {
			break
		}
		switch t.kind {
		case tokenEnd:
			return nil
		case tokenOpen:
			err = scope.enter(t)
		case tokenClose:
			scope.leave()
		case tokenText:
		}
	}
	return fault.New(fault.Invalid, "read XML", "", err)
}

// maxPrefixes bounds the prefixes that are declared at one place.
const maxPrefixes = 256

// prefixes are the namespace prefixes that are declared at one place.
type prefixes struct {
	declared []string
	marks    []int // length of declared before each open element
}

func (p *prefixes) enter(t token) error {
	p.marks = append(p.marks, len(p.declared))
	for _, a := range t.attributes {
		if prefix, ok := strings.CutPrefix(a.name, "xmlns:"); ok {
			if prefix == "" || a.value == "" {
				return fmt.Errorf("the namespace declaration %.80q is malformed", a.name)
			}
			p.declared = append(p.declared, prefix)
		}
	}
	if len(p.declared) > maxPrefixes {
		return fmt.Errorf("more than %d namespace prefixes", maxPrefixes)
	}
	if err := p.check(t.name); err != nil {
		return err
	}
	for _, a := range t.attributes {
		if err := p.check(a.name); err != nil {
			return err
		}
	}
	return nil
}

func (p *prefixes) leave() {
	last := len(p.marks) - 1
	p.declared = p.declared[:p.marks[last]]
	p.marks = p.marks[:last]
}

// check returns an error when a name has a prefix that is not declared.
func (p *prefixes) check(name string) error {
	prefix, local, ok := strings.Cut(name, ":")
	if !portableName(prefix) || ok && !portableName(local) {
		return fmt.Errorf("the name %.80q is not one that every reader takes", name)
	}
	if !ok {
		return nil
	}
	if prefix == "xml" || prefix == "xmlns" {
		return nil
	}
	if slices.Contains(p.declared, prefix) {
		return nil
	}
	return fmt.Errorf("the namespace prefix of %.80q is not declared", name)
}
