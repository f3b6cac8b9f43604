package config

import (
	"errors"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile bounds a configuration file.
const maxFile = 4 << 20

// node is one value of a file with its place.
type node struct {
	at    mark // of the key
	value any  // a scalar, where neither table nor list is set
	table map[string]*node
	list  []*node
}

// tables reports whether the node is an array of tables.
func (n *node) tables() bool {
	for _, e := range n.list {
		if e.table == nil {
			return false
		}
	}
	return len(n.list) > 0
}

// plain returns the value as go-toml gives it to an any.
func (n *node) plain() any {
	switch {
	case n.table != nil:
		m := make(map[string]any, len(n.table))
		for k, e := range n.table {
			m[k] = e.plain()
		}
		return m
	case n.list != nil:
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = e.plain()
		}
		return l
	default:
		return n.value
	}
}

// parse reads one file. A mistake of syntax ends a TOML parser's work, so that
// there is one at most.
func parse(file string, data []byte) (*node, *Problem) {
	src := &source{file: file, data: data}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, src.syntax(err)
	}
	places, err := src.places()
	if err != nil {
		return nil, src.syntax(err)
	}
	return places.build("", tree, mark{src: src}), nil
}

func (s *source) syntax(err error) *Problem {
	p := Problem{File: s.file, Message: err.Error(), Hint: "correct the TOML syntax; see https://toml.io"}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		p.Line, p.Column = d.Position()
		p.Key = strings.Join(d.Key(), ".")
		p.Message = strings.TrimPrefix(d.Error(), "toml: ")
		p.Excerpt = s.excerpt(p.Line, p.Column, 1)
	}
	// The parser quotes what it could not read, and that may be a secret.
	if secretKey().MatchString(p.Excerpt) {
		p.Message = "the value is not valid TOML"
	}
	return &p
}

// places maps the path of a key ("instance[0].url") to where it stands.
type places map[string]mark

// places finds the keys with go-toml's own parser. It is the one use of the
// part of go-toml that may change.
func (s *source) places() (places, error) {
	f := finder{src: s, out: places{}, arrays: map[string]int{}}
	f.p.Reset(s.data)
	for f.p.NextExpression() {
		e := f.p.Expression()
		switch e.Kind {
		case unstable.Table:
			f.table = f.header(e, false)
		case unstable.ArrayTable:
			f.table = f.header(e, true)
		case unstable.KeyValue:
			f.pair(f.table, e)
		default: // a comment
		}
	}
	return f.out, f.p.Error()
}

type finder struct {
	p      unstable.Parser
	src    *source
	out    places
	arrays map[string]int // the index of the last element of arrays of tables
	table  string
}

// header returns the path that the keys below a header have.
func (f *finder) header(e *unstable.Node, array bool) string {
	path := ""
	for it := e.Key(); it.Next(); {
		n := it.Node()
		path = join(path, string(n.Data))
		f.note(path, n)
		last := it.IsLast()
		if i, isArray := f.arrays[path]; last && array {
			if isArray {
				i++
			}
			f.arrays[path] = i
			path = element(path, i)
			f.out[path] = f.markOf(n)
		} else if isArray {
			path = element(path, i)
		}
	}
	return path
}

func (f *finder) pair(path string, e *unstable.Node) {
	for it := e.Key(); it.Next(); {
		n := it.Node()
		path = join(path, string(n.Data))
		f.note(path, n)
	}
	f.value(path, e.Value(), f.out[path])
}

func (f *finder) value(path string, v *unstable.Node, at mark) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			f.pair(path, it.Node())
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); {
			p := element(path, i)
			f.out[p] = at
			f.value(p, it.Node(), at)
			i++
		}
	default: // a scalar; its place is that of its key
	}
}

func (f *finder) note(path string, n *unstable.Node) {
	if _, known := f.out[path]; !known {
		f.out[path] = f.markOf(n)
	}
}

func (f *finder) markOf(n *unstable.Node) mark {
	return mark{src: f.src, off: int(n.Raw.Offset), len: int(n.Raw.Length)}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (p places) build(path string, v any, above mark) *node {
	n := &node{at: above}
	if m, ok := p[path]; ok {
		n.at = m
	}
	switch x := v.(type) {
	case map[string]any:
		n.table = make(map[string]*node, len(x))
		for k, e := range x {
			n.table[k] = p.build(join(path, k), e, n.at)
		}
	case []any:
		n.list = make([]*node, len(x))
		for i, e := range x {
			n.list[i] = p.build(element(path, i), e, n.at)
		}
	default:
		n.value = v
	}
	return n
}

// merge puts what a later file says over what the earlier ones said.
func merge(into, from *node) {
	for key, n := range from.table {
		old, ok := into.table[key]
		switch {
		case ok && old.table != nil && n.table != nil:
			merge(old, n)
		case ok && old.tables() && n.tables():
			old.list = append(old.list, n.list...)
		default:
			into.table[key] = n
		}
	}
}
