//go:build unix

package secret

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// openRegular opens without waiting: a named pipe in place of the file must not
// hang the agent.
func openRegular(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func checkMode(ref Ref, path string, mode fs.FileMode) error {
	if mode.Perm()&0o006 == 0 {
		return nil
	}
	return fault.New(fault.Denied, "resolve secret", ref.String(), errors.New("every user can read or write the file")).
		WithHint("run: chmod o-rw " + path)
}
