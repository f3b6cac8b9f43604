package secret

import (
	"errors"
	"path"
	"path/filepath"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Mask is what stands in the place of a secret.
const Mask = "***"

// The schemes of references that this version resolves.
const (
	schemeEnv     = "env"
	schemeFile    = "file"
	schemeSystemd = "systemd"
)

const refHint = `write a reference: "env:NAME", "file:/path" or "systemd:NAME"`

// Ref says where a secret is. It is no secret itself and may be shown. The zero
// Ref means that none was given.
type Ref struct {
	scheme, name string
}

// ParseRef reads a reference. A text without a scheme is taken for the secret
// itself and refused; the error does not repeat it.
func ParseRef(text string) (Ref, error) {
	scheme, name, found := strings.Cut(text, ":")
	if !found || !knownScheme(scheme) {
		return Ref{}, fault.New(fault.Invalid, "read", "secret reference",
			errors.New("it is the secret itself, not a reference to it")).WithHint(refHint)
	}
	r := Ref{scheme: scheme, name: name}
	if err := r.check(); err != nil {
		return Ref{}, err
	}
	return r, nil
}

// knownScheme reports whether a prefix is that of a reference, in this version
// or another. Anything else may be a password with a colon in it.
func knownScheme(s string) bool {
	switch s {
	case schemeEnv, schemeFile, schemeSystemd, "dpapi", "store", "vault", "exec":
		return true
	default:
		return false
	}
}

func (r Ref) check() error {
	invalid := func(why, hint string) error {
		return fault.New(fault.Invalid, "read", "secret reference", errors.New(why)).WithHint(hint)
	}
	switch r.scheme {
	case schemeEnv:
		if r.name == "" || strings.ContainsAny(r.name, "= \t\r\n\x00") {
			return invalid("no name of an environment variable follows env:", `write "env:NAME"`)
		}
	case schemeFile:
		if strings.ContainsRune(r.name, 0) || !filepath.IsAbs(r.name) && !path.IsAbs(r.name) {
			return invalid("no absolute path follows file:", `write "file:/path/to/file"`)
		}
	case schemeSystemd:
		if r.name == "" || r.name == "." || r.name == ".." || strings.ContainsAny(r.name, `/\:`+"\x00") {
			return invalid("no name of a systemd credential follows systemd:",
				`write "systemd:NAME" with the name given in LoadCredential=`)
		}
	default:
		return invalid("the scheme "+r.scheme+": is not built in this version", "use env:, file: or systemd:")
	}
	return nil
}

// String returns the reference as it was written, "" for the zero Ref.
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	return r.scheme + ":" + r.name
}

// IsZero reports whether no reference was given.
func (r Ref) IsZero() bool { return r.scheme == "" }

// MarshalText returns the reference as it was written.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a reference as [ParseRef] does. An empty text gives the
// zero Ref.
func (r *Ref) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Ref{}
		return nil
	}
	parsed, err := ParseRef(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
