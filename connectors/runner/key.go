package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const maxKey = 120

// fileKey makes a file name of a job id: letters that keep their meaning on
// every file system stay, all others (capitals too, which some systems do not
// tell from small letters) are written as %XX. A long id is hashed.
func fileKey(id string) string {
	const hexDigits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	if b.Len() <= maxKey {
		return "j" + b.String() // the letter keeps names such as "con" and "-x" harmless
	}
	sum := sha256.Sum256([]byte(id))
	return "h" + hex.EncodeToString(sum[:])
}
