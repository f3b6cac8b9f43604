package runner

import (
	"os"

	"golang.org/x/sys/unix"
)

// inputPipe makes the pipe of a child's input.
func inputPipe() (child, feed *os.File, err error) { return halfPipe(1) }

// outputPipe makes the pipe of one of a child's outputs.
func outputPipe() (from, child *os.File, err error) { return halfPipe(0) }

// halfPipe makes a pipe of which only one end, the runner's own, waits in the
// poller. The child's end must be one that blocks, and os.Pipe would register
// both only to take one back, which is half of the system calls of a job.
func halfPipe(own int) (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(fds[own], true); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1"), nil
}
