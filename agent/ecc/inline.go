package ecc

import "strings"

// marks begin a secret inside a longer text: a connection string, a URL, a list
// of headers, a key file. All are in lower case.
const (
	markHeader = "authorization"
	markKey    = "private key-----"
	endKey     = "-----end"
)

// maskInline returns v with the secrets inside it replaced by the mask, and
// tells found of each. It knows password=…, passwd=… and pwd=…, Authorization
// headers (as a line, or as name and value in XML or JSON) and private keys.
func maskInline(v string, found func(secret string)) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(v); {
		begin, end := inlineSecret(v, i)
		if end <= begin {
			i++
			continue
		}
		if found != nil {
			found(v[begin:end])
		}
		b.WriteString(v[done:begin])
		b.WriteString(mask)
		done, i = end, end
	}
	if done == 0 {
		return v
	}
	b.WriteString(v[done:])
	return b.String()
}

// inlineSecret returns where the secret is whose mark stands at i; begin equals
// end where none does.
func inlineSecret(v string, i int) (begin, end int) {
	switch v[i] | 0x20 {
	case 'p':
		for _, mark := range [...]string{"password=", "passwd=", "pwd="} {
			if hasFold(v, i, mark) {
				begin = i + len(mark)
				return quotedOr(v, begin, ";&,<>\"' \t\r\n")
			}
		}
		if hasFold(v, i, markKey) {
			begin = i + len(markKey)
			for end = begin; end < len(v) && !hasFold(v, end, endKey); {
				end++
			}
			return begin, end
		}
	case 'a':
		if hasFold(v, i, markHeader) {
			begin = skipAny(v, i+len(markHeader), "\"' \t")
			if hasFold(v, begin, "value") {
				begin += len("value")
			}
			assigned := skipAny(v, begin, "=: \t")
			if assigned == begin {
				return 0, 0
			}
			return quotedOr(v, assigned, "\"'<\r\n")
		}
	}
	return 0, 0
}

// quotedOr returns the extent of a value at i: up to the same quote where it
// begins with one, else up to one of stops.
func quotedOr(v string, i int, stops string) (begin, end int) {
	if i < len(v) && (v[i] == '"' || v[i] == '\'') {
		stops = v[i : i+1]
		i++
	}
	if n := strings.IndexAny(v[i:], stops); n >= 0 {
		return i, i + n
	}
	return i, len(v)
}

func skipAny(v string, i int, chars string) int {
	for i < len(v) && strings.IndexByte(chars, v[i]) >= 0 {
		i++
	}
	return i
}

// hasFold reports whether lower stands at i, in any case.
func hasFold(v string, i int, lower string) bool {
	return i+len(lower) <= len(v) && strings.EqualFold(v[i:i+len(lower)], lower)
}
