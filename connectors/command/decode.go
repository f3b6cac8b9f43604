package command

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// decoding turns a stream's bytes into UTF-8. The zero value is UTF-8 itself,
// with U+FFFD for what is not.
type decoding struct{ enc encoding.Encoding }

func (d decoding) reader(r io.Reader) io.Reader {
	if d.enc == nil {
		return transform.NewReader(r, unicode.UTF8BOM.NewDecoder())
	}
	return transform.NewReader(r, d.enc.NewDecoder())
}

// codePage returns the encoding of that name, or the system's for "".
func codePage(name string) (encoding.Encoding, error) {
	if name == "" {
		return systemCodePage(), nil
	}
	return namedCodePage(name)
}

func namedCodePage(name string) (encoding.Encoding, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	number := strings.TrimPrefix(strings.TrimPrefix(name, "cp"), "ibm")
	for cp, enc := range map[string]encoding.Encoding{
		"437": charmap.CodePage437, "850": charmap.CodePage850, "852": charmap.CodePage852, "855": charmap.CodePage855,
		"858": charmap.CodePage858, "860": charmap.CodePage860, "862": charmap.CodePage862, "863": charmap.CodePage863,
		"865": charmap.CodePage865, "866": charmap.CodePage866,
	} {
		if number == cp {
			return enc, nil
		}
	}
	if number != name { // cp1252 and its like
		name = "windows-" + number
	}
	if enc, err := htmlindex.Get(name); err == nil {
		return enc, nil
	}
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == nil {
		return nil, errors.New("this encoding is not known")
	}
	return enc, nil
}

// sampleSize is what UTF-16 without a mark is recognized by.
const sampleSize = 4 << 10

// measure finds out how a stream is encoded and how long its text is. It reads
// the stream once, or twice where it is not UTF-8.
func (s *session) measure(ctx context.Context, o *runner.Output) (decoding, int64, error) {
	if o.Size() == 0 {
		return decoding{}, 0, nil
	}
	var look survey
	if err := look.read(ctx, o); err != nil {
		return decoding{}, 0, err
	}
	d := look.verdict(s.fallback)
	r, err := o.Open(ctx)
	if err != nil {
		return d, 0, err
	}
	defer r.Close() //nolint:errcheck // read only
	size, err := io.Copy(io.Discard, d.reader(r))
	return d, size, err
}

// survey is what tells the encoding of a stream.
type survey struct {
	head           []byte
	valid, invalid int64 // sequences beyond ASCII
	rest           []byte
}

func (v *survey) read(ctx context.Context, o *runner.Output) error {
	r, err := o.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // read only
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		v.add(buf[:n])
		if errors.Is(err, io.EOF) {
			return nil // an incomplete sequence at the end may be a cut one
		}
		if err != nil {
			return err
		}
	}
}

func (v *survey) add(p []byte) {
	if room := sampleSize - len(v.head); room > 0 {
		v.head = append(v.head, p[:min(room, len(p))]...)
	}
	if len(v.rest) > 0 {
		p = append(v.rest, p...)
	}
	for len(p) > 0 {
		if p[0] < utf8.RuneSelf {
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			break
		}
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			v.invalid++
		} else {
			v.valid++
		}
		p = p[n:]
	}
	v.rest = append([]byte(nil), p...)
}

// verdict decides: marks first, then the looks of UTF-16, then UTF-8 unless
// most of what is not ASCII speaks against it.
func (v *survey) verdict(fallback encoding.Encoding) decoding {
	h := v.head
	switch {
	case len(h) >= 2 && h[0] == 0xff && h[1] == 0xfe:
		return decoding{unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}
	case len(h) >= 2 && h[0] == 0xfe && h[1] == 0xff:
		return decoding{unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}
	}
	var zeros [2]int
	for i, b := range h {
		if b == 0 {
			zeros[i&1]++
		}
	}
	// Text of western scripts in UTF-16: nearly every other byte is zero, on one
	// side only.
	many, few := len(h)*2/5, len(h)/50
	switch {
	case len(h) >= 4 && zeros[1] >= many && zeros[0] <= few:
		return decoding{unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}
	case len(h) >= 4 && zeros[0] >= many && zeros[1] <= few:
		return decoding{unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}
	case v.invalid > v.valid || v.invalid == 0 && v.valid == 0 && len(v.rest) > 0:
		return decoding{fallback}
	default:
		return decoding{}
	}
}
