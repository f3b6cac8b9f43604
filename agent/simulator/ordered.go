package simulator

import (
	"cmp"
	"slices"
	"strings"
)

// chunkMax bounds the rows of one chunk: a memmove of this many pointers is
// cheaper than the pointer chasing of a tree.
const chunkMax = 512

// ordered is a list of rows sorted by priority, sequence and sys_id, the order
// in which a MID Server takes its work (KB0855595). It is a slice of bounded
// chunks, so that a million rows can lose their first and gain any other row
// without moving the rest. It is not safe for concurrent use.
type ordered struct {
	ec     *eccIndex
	chunks [][]*row
	n      int
}

// compare orders two rows of ecc_queue.
func (o *ordered) compare(a, b *row) int {
	if a.pri != b.pri {
		return cmp.Compare(a.pri, b.pri)
	}
	if c := strings.Compare(a.vals[o.ec.sequence], b.vals[o.ec.sequence]); c != 0 {
		return c
	}
	return strings.Compare(a.vals[colID], b.vals[colID])
}

// chunkFor returns the first chunk whose last row is not before r.
func (o *ordered) chunkFor(r *row) int {
	i, _ := slices.BinarySearchFunc(o.chunks, r, func(c []*row, r *row) int {
		return o.compare(c[len(c)-1], r)
	})
	return i
}

// add inserts r, which must not be in the list.
func (o *ordered) add(r *row) {
	o.n++
	i := o.chunkFor(r)
	if i == len(o.chunks) {
		if i == 0 || len(o.chunks[i-1]) >= chunkMax {
			o.chunks = append(o.chunks, append(make([]*row, 0, 64), r))
			return
		}
		o.chunks[i-1] = append(o.chunks[i-1], r)
		return
	}
	c := o.chunks[i]
	at, _ := slices.BinarySearchFunc(c, r, o.compare)
	c = slices.Insert(c, at, r)
	if len(c) <= chunkMax {
		o.chunks[i] = c
		return
	}
	half := len(c) / 2
	o.chunks[i] = slices.Clone(c[:half])
	o.chunks = slices.Insert(o.chunks, i+1, slices.Clone(c[half:]))
}

// remove takes r out; its key must be the one it was added with.
func (o *ordered) remove(r *row) {
	i := o.chunkFor(r)
	if i == len(o.chunks) {
		return
	}
	at, found := slices.BinarySearchFunc(o.chunks[i], r, o.compare)
	if !found {
		return
	}
	o.n--
	if len(o.chunks[i]) > 1 {
		o.chunks[i] = slices.Delete(o.chunks[i], at, at+1)
		return
	}
	o.chunks = slices.Delete(o.chunks, i, i+1)
}

// each calls yield with the rows in order, after skipping the first skip of
// them, until it returns false.
func (o *ordered) each(skip int, yield func(*row) bool) {
	for _, c := range o.chunks {
		if skip >= len(c) {
			skip -= len(c)
			continue
		}
		for _, r := range c[skip:] {
			if !yield(r) {
				return
			}
		}
		skip = 0
	}
}
