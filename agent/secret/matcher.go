package secret

import (
	"slices"
	"strings"
)

// matcher finds many patterns in one pass. It is the algorithm of Wu and Manber
// (1994): the three bytes at the end of a window as long as the shortest
// pattern tell how far the window may move without missing a match, so that
// most of the text is never looked at. It never changes and is safe for
// concurrent use.
type matcher struct {
	sorted  []pattern
	window  int // the length of the shortest pattern
	longest int
	shift   [tableSize]uint8
	// bucket lists, by the hash of a window's end, the patterns whose first
	// window ends so.
	bucket map[uint32][]int32
	// heads marks the hashes of the first three bytes of all patterns.
	heads [tableSize / 8]uint8
}

const (
	tableBits = 15
	tableSize = 1 << tableBits
)

// span is a half-open range of bytes.
type span struct{ from, to int }

func hash3(a, b, c byte) uint32 {
	return (uint32(a)<<10 ^ uint32(b)<<5 ^ uint32(c)) & (tableSize - 1)
}

// newMatcher makes a matcher of patterns of at least three bytes; nil of none.
func newMatcher(patterns []pattern) *matcher {
	if len(patterns) == 0 {
		return nil
	}
	m := &matcher{sorted: patterns, window: 255, bucket: map[uint32][]int32{}}
	for _, p := range patterns {
		m.window = min(m.window, len(p.text))
		m.longest = max(m.longest, len(p.text))
	}
	for i := range m.shift {
		m.shift[i] = uint8(m.window - 2)
	}
	for i, p := range patterns {
		t := p.text
		for end := 2; end < m.window; end++ {
			h := hash3(t[end-2], t[end-1], t[end])
			m.shift[h] = min(m.shift[h], uint8(m.window-1-end))
		}
		h := hash3(t[m.window-3], t[m.window-2], t[m.window-1])
		m.bucket[h] = append(m.bucket[h], int32(i))
		h = hash3(t[0], t[1], t[2])
		m.heads[h/8] |= 1 << (h % 8)
	}
	return m
}

// find returns where patterns are in a text, as spans that neither touch nor
// overlap, in order. Bytes before start are only looked at as the shared
// neighbours of base64.
func find[T string | []byte](m *matcher, text T) []span {
	var found []span
	for end := m.window - 1; end < len(text); {
		h := hash3(text[end-2], text[end-1], text[end])
		if s := m.shift[h]; s > 0 {
			end += int(s)
			continue
		}
		from := end - m.window + 1
		for _, i := range m.bucket[h] {
			p := &m.sorted[i]
			if len(text)-from >= len(p.text) && string(text[from:from+len(p.text)]) == p.text {
				found = append(found, widen(text, p, from))
			}
		}
		end++
	}
	return merge(found)
}

// widen returns the span of a match, with the neighbours that base64 shares.
func widen[T string | []byte](text T, p *pattern, from int) span {
	s := span{from, from + len(p.text)}
	if p.base64 {
		if s.from > 0 && isBase64(text[s.from-1]) {
			s.from--
		}
		if s.to < len(text) && isBase64(text[s.to]) {
			s.to++
		}
	}
	return s
}

func isBase64(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
		c == '+' || c == '/' || c == '-' || c == '_'
}

func merge(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	out := spans[:1]
	for _, s := range spans[1:] {
		if last := &out[len(out)-1]; s.from <= last.to {
			last.to = max(last.to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// pending returns where the part of a text begins that could be the beginning
// of a pattern, len(text) when nothing could.
func (m *matcher) pending(text []byte) int {
	from := max(0, len(text)-m.longest)
	for i := from; i < len(text); i++ {
		rest := text[i:]
		if len(rest) >= 3 {
			if h := hash3(rest[0], rest[1], rest[2]); m.heads[h/8]&(1<<(h%8)) == 0 {
				continue
			}
		}
		if m.begins(string(rest)) {
			return i
		}
	}
	return len(text)
}

// begins reports whether a longer pattern, or a base64 pattern of the same
// length (whose next neighbour belongs to it), begins with a text.
func (m *matcher) begins(text string) bool {
	at, _ := slices.BinarySearchFunc(m.sorted, text, func(p pattern, t string) int { return strings.Compare(p.text, t) })
	for ; at < len(m.sorted) && strings.HasPrefix(m.sorted[at].text, text); at++ {
		if len(m.sorted[at].text) > len(text) || m.sorted[at].base64 {
			return true
		}
	}
	return false
}
