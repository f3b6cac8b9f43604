package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Value is a secret. It prints as "***" with every verb of fmt, in slog, JSON,
// XML, TOML and every other encoding that asks for text; only Reveal shows it.
// The zero Value holds nothing. Values can be copied freely.
type Value struct {
	// A pointer, because fmt prints the unexported fields of a struct around a
	// Value without asking the Value: what it then shows is an address.
	text *string
}

// NewValue makes a Value of a text. It is for tests and for secrets that do not
// come from a Resolver; tell those to the Redactor with [Redactor.Add].
func NewValue(text string) Value { return Value{text: &text} }

// Reveal returns the secret, "" for the zero Value. Use it where it is needed
// and keep no copy.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether the value is missing or empty.
func (v Value) IsZero() bool { return v.text == nil || *v.text == "" }

// Format prints "***" for every verb and flag.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// String returns "***".
func (v Value) String() string { return Mask }

// GoString returns "***".
func (v Value) GoString() string { return Mask }

// LogValue returns "***".
func (v Value) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalJSON returns "***" as a JSON string.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// MarshalText returns "***".
func (v Value) MarshalText() ([]byte, error) { return []byte(Mask), nil }
