package connectors_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/connectors"
)

func TestWordsSplitAsAPersonReads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                             nil,
		" \t ":                         nil,
		"a":                            {"a"},
		"  a\tb  c ":                   {"a", "b", "c"},
		`a "b c" 'd e'`:                {"a", "b c", "d e"},
		`a"b c"d`:                      {"ab cd"},
		`"" ''`:                        {"", ""},
		`'$x | "y" %z' "it's; <here>"`: {`$x | "y" %z`, "it's; <here>"},
		`C:\Tools\x.exe \\host\share`:  {`C:\Tools\x.exe`, `\\host\share`},
		"ü 世界":                         {"ü", "世界"},
	} {
		got, err := connectors.Words(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
}

func TestWordsRefuseWhatOnlyAShellUnderstands(t *testing.T) {
	t.Parallel()
	for _, c := range "|&;<>()$`*?[]{}~#!^%\n\r\x00" {
		for _, text := range []string{"a" + string(c) + "b", "a " + string(c)} {
			if got, err := connectors.Words(text); !errors.Is(err, connectors.ErrNeedsShell) {
				t.Errorf("%q gives %q, %v", text, got, err)
			}
		}
	}
	for _, text := range []string{`"$x"`, "\"`x`\"", `"%PATH%"`, `"a!b"`, "'\x00'"} {
		if got, err := connectors.Words(text); !errors.Is(err, connectors.ErrNeedsShell) {
			t.Errorf("%q gives %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`"a`, `a 'b`, `'"`} {
		if got, err := connectors.Words(text); !errors.Is(err, connectors.ErrQuote) {
			t.Errorf("%q gives %q, %v", text, got, err)
		}
	}
}

// FuzzWords checks that what is accepted holds nothing but what was written,
// and that quoting the words again gives the same words.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "a b", `"a b" 'c'`, "a;b", `'a`, "a\xffb", `C:\x "y z"`, "'\r\n'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := connectors.Words(text)
		if err != nil {
			return
		}
		var again []string
		for _, w := range words {
			if strings.ContainsRune(w, 0) {
				t.Fatalf("%q: NUL in %q", text, w)
			}
			if strings.ContainsAny(w, "'") {
				again = append(again, `"`+w+`"`)
			} else {
				again = append(again, "'"+w+"'")
			}
		}
		for _, w := range words {
			if strings.Contains(w, "'") && strings.ContainsAny(w, "\"$`%!\n\r") {
				return // no quoting expresses both
			}
		}
		got, err := connectors.Words(strings.Join(again, " "))
		if diff := cmp.Diff(words, got); err != nil || diff != "" {
			t.Fatalf("%q: %v %s", text, err, diff)
		}
	})
}
