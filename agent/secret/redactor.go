package secret

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxValues and maxPatterns bound the memory of a redactor. The oldest values
// go first: those of a rotation long past.
const (
	maxValues   = 1024
	maxPatterns = 1 << 16
)

// Redactor replaces the secrets that it knows in whatever leaves the agent. All
// methods are safe for concurrent use. A nil *Redactor knows no secret.
type Redactor struct {
	mu     sync.Mutex
	values []known
	// now is the matcher of all values, nil while there are none.
	now atomic.Pointer[matcher]
}

type known struct {
	text     string
	patterns []pattern
}

// NewRedactor makes a redactor that knows no secret.
func NewRedactor() *Redactor { return &Redactor{} }

// Add makes a secret known. Lines of fewer than [MinRunes] characters are not
// looked for. What was let through before is not called back: add a secret
// before using it.
func (r *Redactor) Add(secret string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := slices.IndexFunc(r.values, func(k known) bool { return k.text == secret }); at >= 0 {
		// Used again: it moves to the end, or steady use would not keep it.
		k := r.values[at]
		r.values = append(slices.Delete(r.values, at, at+1), k)
		return
	}
	k := known{text: secret}
	for _, p := range pieces(secret) {
		k.patterns = append(k.patterns, patterns(p)...)
	}
	if len(k.patterns) == 0 {
		return
	}
	r.values = append(r.values, k)
	r.rebuild()
}

// rebuild makes the matcher of the newest values that fit the bounds.
func (r *Redactor) rebuild() {
	if n := len(r.values); n > maxValues {
		r.values = slices.Delete(r.values, 0, n-maxValues)
	}
	total := 0
	keep := len(r.values)
	for keep > 0 && (total == 0 || total+len(r.values[keep-1].patterns) <= maxPatterns) {
		keep--
		total += len(r.values[keep].patterns)
	}
	r.values = slices.Delete(r.values, 0, keep)
	all := make([]pattern, 0, total)
	for _, k := range r.values {
		all = append(all, k.patterns...)
	}
	// Of two equal texts the one that is base64 masks more.
	slices.SortFunc(all, func(a, b pattern) int {
		if c := strings.Compare(a.text, b.text); c != 0 || a.base64 == b.base64 {
			return c
		}
		if a.base64 {
			return -1
		}
		return 1
	})
	all = slices.CompactFunc(all, func(a, b pattern) bool { return a.text == b.text })
	r.now.Store(newMatcher(all))
}

func (r *Redactor) matcher() *matcher {
	if r == nil {
		return nil
	}
	return r.now.Load()
}

// Redact returns a text with every known secret replaced by "***". A text
// without one is returned as it is, without a copy.
func (r *Redactor) Redact(text string) string {
	m := r.matcher()
	if m == nil || len(text) < m.window {
		return text
	}
	found := find(m, text)
	if found == nil {
		return text
	}
	var b strings.Builder
	at := 0
	for _, s := range found {
		b.WriteString(text[at:s.from])
		b.WriteString(Mask)
		at = s.to
	}
	b.WriteString(text[at:])
	return b.String()
}

// RedactBytes is Redact for bytes. It never changes its argument; without a
// secret in it the argument itself is returned.
func (r *Redactor) RedactBytes(text []byte) []byte {
	m := r.matcher()
	if m == nil || len(text) < m.window {
		return text
	}
	found := find(m, text)
	if found == nil {
		return text
	}
	out := make([]byte, 0, len(text))
	at := 0
	for _, s := range found {
		out = append(out, text[at:s.from]...)
		out = append(out, Mask...)
		at = s.to
	}
	return append(out, text[at:]...)
}

// Error returns an error whose text is redacted and that wraps err, so that
// errors.Is and errors.As see what they saw before; nil for nil.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := r.Redact(text)
	if clean == text {
		return err
	}
	return &redactedError{text: clean, err: err}
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// GoString keeps %#v from showing the error inside.
func (e *redactedError) GoString() string { return e.text }
