package command

import (
	"os"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// systemCodePage is what the locale's variables name (locale(7)). Where they
// say UTF-8 or nothing, bytes that are not UTF-8 are taken for Windows-1252,
// which gives each byte a character.
func systemCodePage() encoding.Encoding {
	for _, v := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		value := os.Getenv(v)
		if value == "" {
			continue
		}
		_, charset, _ := strings.Cut(value, ".")
		charset, _, _ = strings.Cut(charset, "@")
		lower := strings.ToLower(charset)
		if lower == "" || lower == "utf-8" || lower == "utf8" {
			break
		}
		if enc, err := namedCodePage(charset); err == nil {
			return enc
		}
		break
	}
	return charmap.Windows1252
}
