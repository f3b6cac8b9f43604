package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is text in columns. The last column gets what is left of the width.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = clean(c)
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(w io.Writer) error {
	rows := append([][]string{t.head}, t.rows...)
	widths := make([]int, len(t.head))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			if i == len(row)-1 {
				b.WriteString(c)
				break
			}
			b.WriteString(c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// facts is text as names and values, one a line; empty values are left out.
type facts struct{ names, values []string }

func (f *facts) add(name, value string) {
	if value != "" {
		f.names, f.values = append(f.names, name), append(f.values, value)
	}
}

func (f *facts) write(w io.Writer) error {
	longest := 0
	for _, n := range f.names {
		longest = max(longest, utf8.RuneCountInString(n))
	}
	for i, n := range f.names {
		for line := range strings.SplitSeq(strings.TrimRight(f.values[i], "\n"), "\n") {
			if _, err := fmt.Fprintf(w, "%-*s  %s\n", longest, clean(n), clean(line)); err != nil {
				return err
			}
			n = ""
		}
	}
	return nil
}
