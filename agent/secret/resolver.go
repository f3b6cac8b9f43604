package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// MaxBytes bounds a secret.
const MaxBytes = 32 << 10

const credentialsDirectory = "CREDENTIALS_DIRECTORY" // systemd.exec(5)

// Resolver turns references into values. It reads the source anew each time, so
// that a rotated secret is seen at the next use. It is safe for concurrent use.
type Resolver struct {
	redactor *Redactor
	env      func(string) (string, bool)
}

// NewResolver makes a resolver that tells every value to the redactor before
// anyone else gets it. The environment is read with lookup, os.LookupEnv where
// it is nil.
func NewResolver(redactor *Redactor, lookup func(string) (string, bool)) *Resolver {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	return &Resolver{redactor: redactor, env: lookup}
}

// Resolve reads a secret. A file is a regular file of at most [MaxBytes] that,
// on Unix, other users can neither read nor write; one newline at its end is
// not part of the secret. The error is fault.Invalid or fault.Denied for what
// an administrator has to correct, and fault.Unavailable for a failed read.
func (r *Resolver) Resolve(ctx context.Context, ref Ref) (Value, error) {
	if err := ctx.Err(); err != nil {
		return Value{}, fault.New(fault.KindOf(err), "resolve secret", ref.String(), err)
	}
	var text string
	var err error
	switch ref.scheme {
	case schemeEnv:
		text, err = r.fromEnv(ref)
	case schemeFile:
		text, err = fromFile(ref, ref.name)
	case schemeSystemd:
		text, err = r.fromSystemd(ref)
	default:
		err = invalidRef(ref, errors.New("no reference is set"), refHint)
	}
	if err == nil {
		err = checkText(ref, text)
	}
	if err != nil {
		return Value{}, err
	}
	r.redactor.Add(text)
	return NewValue(text), nil
}

func invalidRef(ref Ref, cause error, hint string) error {
	return fault.New(fault.Invalid, "resolve secret", ref.String(), cause).WithHint(hint)
}

func (r *Resolver) fromEnv(ref Ref) (string, error) {
	text, ok := r.env(ref.name)
	if !ok {
		return "", invalidRef(ref, errors.New("the environment variable is not set"),
			"set "+ref.name+" in the environment of the service")
	}
	if len(text) > MaxBytes {
		return "", tooLarge(ref)
	}
	return text, nil
}

func (r *Resolver) fromSystemd(ref Ref) (string, error) {
	dir, ok := r.env(credentialsDirectory)
	if !ok || dir == "" {
		return "", invalidRef(ref, errors.New(credentialsDirectory+" is not set"),
			"add LoadCredential="+ref.name+":/path to the unit and start the agent by systemd")
	}
	return fromFile(ref, filepath.Join(dir, ref.name))
}

func fromFile(ref Ref, path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", openError(ref, path, err)
	}
	defer func() { _ = f.Close() }()
	// The open file is what is checked: a check by name could be of another file.
	info, err := f.Stat()
	if err != nil {
		return "", openError(ref, path, err)
	}
	if !info.Mode().IsRegular() {
		return "", invalidRef(ref, errors.New("it is not a regular file"), "name a file that holds the secret alone")
	}
	if err := checkMode(ref, path, info.Mode()); err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+3))
	if err != nil {
		return "", fault.New(fault.Unavailable, "resolve secret", ref.String(), err).WithHint("check the disk that holds " + path)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the mark that Windows editors put before UTF-8
	if n := len(data); n > 0 && data[n-1] == '\n' {
		data = bytes.TrimSuffix(data[:n-1], []byte("\r"))
	}
	if len(data) > MaxBytes {
		return "", tooLarge(ref)
	}
	return string(data), nil
}

func openError(ref Ref, path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return invalidRef(ref, errors.New("there is no such file"), "create "+path+", readable for the agent's account only")
	case errors.Is(err, os.ErrPermission):
		return fault.New(fault.Denied, "resolve secret", ref.String(), err).
			WithHint("let the agent's account read " + path)
	default:
		return fault.New(fault.Unavailable, "resolve secret", ref.String(), err).WithHint("check " + path)
	}
}

func tooLarge(ref Ref) error {
	return invalidRef(ref, fmt.Errorf("it is larger than %d bytes", MaxBytes), "name a source that holds the secret alone")
}

func checkText(ref Ref, text string) error {
	switch {
	case text == "":
		return invalidRef(ref, errors.New("it is empty"), "store the secret there")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return invalidRef(ref, errors.New("it is not UTF-8 text"), "save it as UTF-8 (not UTF-16)")
	default:
		return nil
	}
}
