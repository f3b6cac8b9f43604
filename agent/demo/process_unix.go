//go:build unix

package demo

import (
	"os"
	"os/exec"
	"syscall"
)

// detach keeps a signal for the demo's terminal from the agent: the demo stops
// it itself.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
