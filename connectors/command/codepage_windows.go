package command

import (
	"strconv"

	"golang.org/x/sys/windows"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// systemCodePage is the OEM code page, in which console programs write
// (GetOEMCP, Microsoft's documentation of code pages).
func systemCodePage() encoding.Encoding {
	number, _, err := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetOEMCP").Call()
	_ = err // the function has no error to return
	if enc, err := namedCodePage("cp" + strconv.Itoa(int(number))); err == nil {
		return enc
	}
	return charmap.CodePage437
}
