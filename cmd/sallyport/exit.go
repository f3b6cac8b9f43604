package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// The exit codes; doc.go documents them.
const (
	codeOK          = 0
	codeInternal    = 1
	codeUsage       = 2
	codeConfig      = 3
	codeDenied      = 4
	codeUnavailable = 5
	codeLocked      = 6
	codeCorrupt     = 7
	codeUnhealthy   = 8
	codeConflict    = 9
	codeInterrupted = 130
)

// coded is an error with an exit code of its own.
type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// grade is an exit code beside a result that says everything.
type grade struct{ code int }

func (g *grade) Error() string { return fmt.Sprintf("exit code %d", g.code) }

// codeOf returns the exit code for an error.
func codeOf(err error) int {
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	if g, ok := errors.AsType[*grade](err); ok {
		return g.code
	}
	switch {
	case errors.Is(err, queue.ErrLocked):
		return codeLocked
	case errors.Is(err, queue.ErrBroken), errors.Is(err, queue.ErrNewer):
		return codeCorrupt
	case errors.Is(err, queue.ErrNotFound), errors.Is(err, queue.ErrConflict):
		return codeConflict
	}
	if _, ok := errors.AsType[config.Problems](err); ok {
		return codeConfig
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return codeUsage
	case fault.Denied:
		return codeDenied
	case fault.Unavailable, fault.Timeout, fault.Unknown:
		return codeUnavailable
	case fault.Conflict:
		return codeConflict
	case fault.Canceled:
		return codeInterrupted
	default:
		return codeInternal
	}
}

// failure is a failed command in JSON.
type failure struct {
	Kind     string          `json:"kind"`
	Message  string          `json:"message"`
	Hint     string          `json:"hint,omitempty"`
	Code     int             `json:"code"`
	Problems config.Problems `json:"problems,omitempty"`
}

// fail shows an error and returns its exit code.
func (a *app) fail(err error) int {
	code := codeOf(err)
	if _, ok := errors.AsType[*grade](err); ok {
		return code
	}
	f := failure{Kind: fault.KindOf(err).String(), Message: err.Error(), Hint: hintOf(err), Code: code}
	if p, ok := errors.AsType[config.Problems](err); ok {
		f.Problems = p
	}
	if a.output == formJSON {
		data, _ := json.Marshal(f) // strings and numbers only
		_, _ = fmt.Fprintf(a.err, "%s\n", data)
		return code
	}
	_, _ = fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, red, "error:"), cleanLines(f.Message))
	if f.Hint != "" {
		_, _ = fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, yellow, "hint:"), cleanLines(f.Hint))
	}
	return code
}

func hintOf(err error) string {
	if hint := fault.HintOf(err); hint != "" {
		return hint
	}
	if errors.Is(err, os.ErrPermission) {
		return "run the command as an administrator"
	}
	return ""
}

// configError gives mistakes of a configuration their exit code.
func configError(err error) error {
	if err == nil || fault.KindOf(err) != fault.Invalid {
		return err
	}
	return &coded{code: codeConfig, err: err}
}
