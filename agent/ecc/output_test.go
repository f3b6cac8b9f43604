package ecc_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport-agent/sallyport/agent/ecc"
)

func TestDecodeOutput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data, codePage, want string }{
		{"empty", "", "850", ""},
		{"ASCII", "plain\r\n", "850", "plain\r\n"},
		{"UTF-8", "größe €", "850", "größe €"},
		{"UTF-8 with mark", "\xEF\xBB\xBFgröße", "", "größe"},
		{"UTF-16LE with mark", "\xFF\xFEg\x00\xF6\x00=\xD8\x00\xDE", "", "gö😀"},
		{"UTF-16BE with mark", "\xFE\xFF\x00g\x00\xF6", "", "gö"},
		{"UTF-16LE", "d\x00i\x00r\x00\r\x00\n\x00", "", "dir\r\n"},
		{"UTF-16BE", "\x00d\x00i\x00r", "", "dir"},
		{"UTF-16LE cut", "d\x00i\x00r\x00x", "", "dir\uFFFD"},
		{"UTF-16LE lone surrogate", "\xFF\xFEa\x00\x00\xD8b\x00", "", "a\uFFFDb"},
		{"one NUL in text", "a\x00bcdefghijk", "", "a\x00bcdefghijk"},
		{"CP850", "Gr\x94\xE1e", "850", "Größe"},
		{"CP850 by another name", "Gr\x94\xE1e", "IBM850", "Größe"},
		{"CP437", "Gr\x94\xE1e", "cp437", "Größe"},
		{"Windows-1252", "Gr\xF6\xDFe \x80", "windows-1252", "Größe €"},
		{"CP866", "\x8F\xE0\xA8", "cp866", "При"},
		{"CP932", "\x93\xFA\x96\x7B", "932", "日本"},
		{"unknown code page", "Gr\xF6e", "klingon", "Gr\uFFFDe"},
		{"no code page", "Gr\xF6e\xC3", "", "Gr\uFFFDe\uFFFD"},
	} {
		if got := ecc.DecodeOutput([]byte(c.data), c.codePage); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for _, r := range []io.Reader{strings.NewReader(c.data), iotest.OneByteReader(strings.NewReader(c.data))} {
			got, err := io.ReadAll(ecc.OutputReader(r, c.codePage))
			if err != nil || string(got) != c.want {
				t.Errorf("%s, streamed: %q, %v, want %q", c.name, got, err, c.want)
			}
		}
	}
}

func TestOutputReaderDoesNotCutCharacters(t *testing.T) {
	t.Parallel()
	for shift := range 4 {
		text := strings.Repeat("x", shift) + strings.Repeat("ü€😀", 5_000)
		got, err := io.ReadAll(ecc.OutputReader(strings.NewReader(text), "850"))
		if err != nil || string(got) != text {
			t.Errorf("shift %d: %d bytes of %d, %v", shift, len(got), len(text), err)
		}
	}
	if _, err := io.ReadAll(ecc.OutputReader(iotest.ErrReader(io.ErrClosedPipe), "")); err == nil {
		t.Error("the reader's error is lost")
	}
}
