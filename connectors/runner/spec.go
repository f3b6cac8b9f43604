package runner

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// Defaults and bounds of a Spec.
const (
	DefaultOutput  = 64 << 20 // bytes of each output stream that are kept
	DefaultGrace   = 5 * time.Second
	DefaultLinger  = 2 * time.Second
	maxStdin       = 16 << 20
	maxJobID       = 512
	maxArgs        = 4096
	maxSpecStrings = 2 << 20 // bytes of arguments and environment together
)

// Spec says what to start.
type Spec struct {
	// Job is the job's id. A job has at most one child at a time, and at most one
	// for each Attempt.
	Job string `json:"job"`
	// Attempt is 1 or more and grows with each deliberate try of the same job.
	Attempt int `json:"attempt"`
	// Program is an absolute path, a path with a separator (below Dir), or a bare
	// name that is looked up in the job's PATH. Not with Shell.
	Program string `json:"program,omitempty"`
	// Args are the arguments without the program; they are never joined.
	Args []string `json:"args,omitempty"`
	// Shell is a command text for /bin/sh -c or cmd.exe /c. Not with Program.
	Shell string `json:"shell,omitempty"`
	// Dir is the working directory, absolute; "" is the runner's state folder.
	Dir string `json:"dir,omitempty"`
	// Env is set over the inherited variables, as "NAME=value".
	Env []string `json:"env,omitempty"`
	// Stdin is fed to the child; without it the input is empty. It never touches
	// the disk.
	Stdin []byte `json:"stdin,omitempty"`
	// Timeout ends the job, counted by the runner; 0 is none.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Grace is the time between the polite signal and the kill; 0 is DefaultGrace.
	Grace time.Duration `json:"grace,omitempty"`
	// Linger is how long processes that the main one left behind may keep the
	// output open; 0 is DefaultLinger.
	Linger time.Duration `json:"linger,omitempty"`
	// CPU bounds the cores, Memory the bytes; 0 is unbounded.
	CPU    float64 `json:"cpu,omitempty"`
	Memory int64   `json:"memory,omitempty"`
	// Output bounds the bytes that are kept of each stream; 0 is DefaultOutput.
	Output int64 `json:"output,omitempty"`
	// Account is the local account to run as; "" is the runner's own.
	Account string `json:"account,omitempty"`
}

// SetLimits takes over what a policy allows.
func (s *Spec) SetLimits(l connectors.Limits) {
	s.CPU, s.Memory = l.CPU, l.Memory
	if l.Output > 0 {
		s.Output = l.Output
	}
}

// check refuses what cannot be started, before anything is recorded.
func (s *Spec) check() error {
	size := len(s.Shell) + len(s.Program) + len(s.Dir)
	bad := strings.ContainsRune(s.Program+s.Shell+s.Dir+s.Account, 0)
	for _, list := range [][]string{s.Args, s.Env} {
		for _, a := range list {
			size += len(a) + 1
			bad = bad || strings.ContainsRune(a, 0)
		}
	}
	for _, e := range s.Env {
		if i := strings.IndexByte(e, '='); i <= 0 {
			return s.invalid("a variable of the environment must be NAME=value")
		}
	}
	switch {
	case s.Job == "" || len(s.Job) > maxJobID:
		return s.invalid("the job id must have 1 to 512 bytes")
	case s.Attempt < 1:
		return s.invalid("the attempt must be 1 or more")
	case (s.Program == "") == (s.Shell == ""):
		return s.invalid("exactly one of program and shell text is needed")
	case bad:
		return s.invalid("a NUL byte cannot be part of a command")
	case size > maxSpecStrings || len(s.Args) > maxArgs || len(s.Env) > maxArgs:
		return s.invalid("the command and its environment are too long")
	case len(s.Stdin) > maxStdin:
		return s.invalid("the standard input is larger than 16 MiB")
	case s.Dir != "" && !filepath.IsAbs(s.Dir):
		return s.invalid("the working directory must be absolute")
	case s.Timeout < 0 || s.Grace < 0 || s.Linger < 0 || s.Output < 0 || s.Memory < 0 || s.CPU < 0:
		return s.invalid("a limit is negative")
	}
	return nil
}

func (s *Spec) invalid(why string) error {
	return fault.New(fault.Invalid, "start", s.Job, errors.New(why)).
		WithHint("Correct the command or the connector's settings.")
}

func (s *Spec) withDefaults(dir string) Spec {
	d := *s
	if d.Grace == 0 {
		d.Grace = DefaultGrace
	}
	if d.Linger == 0 {
		d.Linger = DefaultLinger
	}
	if d.Output == 0 {
		d.Output = DefaultOutput
	}
	if d.Dir == "" {
		d.Dir = dir
	}
	return d
}
