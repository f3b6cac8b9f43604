package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzClean checks that nothing reaches a terminal that could steer it, and that
// nothing is lost of a text that is harmless.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31mred", "\u202eabc", "\xff\xfe", "a\nb", "漢字", "\u009b", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := clean(in)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q becomes %q", in, out)
		}
		if utf8.ValidString(in) && !strings.ContainsFunc(in, func(r rune) bool { return !unicode.IsPrint(r) }) && out != in {
			t.Errorf("harmless %q becomes %q", in, out)
		}
	})
}
