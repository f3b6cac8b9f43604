package ecc

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// sniffSize is how much of an output decides about its encoding.
const sniffSize = 4 << 10

// DecodeOutput returns as text what a program printed. A byte order mark is
// obeyed; UTF-16 without one is known by its zero bytes; then comes UTF-8, and
// for what is not UTF-8 the code page: a Windows number or name ("850",
// "cp437", "windows-1252"), or "" for none. Bytes that still have no meaning
// become U+FFFD. The result is valid UTF-8 without a byte order mark.
func DecodeOutput(data []byte, codePage string) string {
	if d := unicodeOf(data[:min(len(data), sniffSize)]); d != nil {
		return decodeWith(d, data)
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	if utf8.Valid(data) {
		return string(data)
	}
	if cp := codePageOf(codePage); cp != nil {
		return decodeWith(cp, data)
	}
	return decodeWith(unicode.UTF8, data)
}

func decodeWith(e encoding.Encoding, data []byte) string {
	text, err := e.NewDecoder().Bytes(data)
	if err != nil { // decoders replace what they cannot read; this is for the ones that may not
		return strings.ToValidUTF8(string(data), "\uFFFD")
	}
	return string(text)
}

// OutputReader is [DecodeOutput] for what is too large for memory. The start of
// the output decides between UTF-8 and the code page: where the first 4 KiB are
// UTF-8, later bytes that are not become U+FFFD.
func OutputReader(r io.Reader, codePage string) io.Reader {
	b := bufio.NewReaderSize(r, sniffSize)
	head, _ := b.Peek(sniffSize) // an error comes again when it is read
	if d := unicodeOf(head); d != nil {
		return transform.NewReader(b, d.NewDecoder())
	}
	cp := codePageOf(codePage)
	if whole := head[:len(head)-cutRune(head)]; cp != nil && !utf8.Valid(whole) {
		return transform.NewReader(b, cp.NewDecoder())
	}
	return transform.NewReader(b, unicode.UTF8BOM.NewDecoder())
}

// unicodeOf returns UTF-16 when the start of an output looks like it.
func unicodeOf(head []byte) encoding.Encoding {
	switch {
	case bytes.HasPrefix(head, []byte("\xFF\xFE")):
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		}
	}
	// Western text in UTF-16 has a zero in nearly every pair, always on the same
	// side. Binary output has them on both.
	pairs := len(head) / 2
	switch {
	case pairs < 2:
		return nil
	case zeros[1]*10 >= pairs*4 && zeros[0]*20 <= pairs:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case zeros[0]*10 >= pairs*4 && zeros[1]*20 <= pairs:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	default:
		return nil
	}
}

// codePageOf returns a code page by its Windows number or name, nil for an
// unknown one.
func codePageOf(name string) encoding.Encoding {
	n := squash(name)
	for _, prefix := range [...]string{"windows", "cp", "ibm", "oem"} {
		n = strings.TrimPrefix(n, prefix)
	}
	switch n {
	case "932", "shiftjis", "sjis":
		return japanese.ShiftJIS
	case "936", "gbk", "gb2312":
		return simplifiedchinese.GBK
	case "54936", "gb18030":
		return simplifiedchinese.GB18030
	case "949", "euckr":
		return korean.EUCKR
	case "950", "big5":
		return traditionalchinese.Big5
	}
	if cm := charmapOf(n); cm != nil {
		return cm
	}
	return nil
}

func charmapOf(n string) *charmap.Charmap {
	switch n {
	case "437":
		return charmap.CodePage437
	case "850":
		return charmap.CodePage850
	case "852":
		return charmap.CodePage852
	case "855":
		return charmap.CodePage855
	case "858":
		return charmap.CodePage858
	case "860":
		return charmap.CodePage860
	case "862":
		return charmap.CodePage862
	case "863":
		return charmap.CodePage863
	case "865":
		return charmap.CodePage865
	case "866":
		return charmap.CodePage866
	case "874":
		return charmap.Windows874
	case "1250":
		return charmap.Windows1250
	case "1251":
		return charmap.Windows1251
	case "1252":
		return charmap.Windows1252
	case "1253":
		return charmap.Windows1253
	case "1254":
		return charmap.Windows1254
	case "1255":
		return charmap.Windows1255
	case "1256":
		return charmap.Windows1256
	case "1257":
		return charmap.Windows1257
	case "1258":
		return charmap.Windows1258
	case "28591", "iso88591", "latin1":
		return charmap.ISO8859_1
	case "28605", "iso885915":
		return charmap.ISO8859_15
	default:
		return nil
	}
}
