package bolt

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// fillFile gives a file blocks without writing them where the file system can.
func fillFile(f *os.File, n int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, n)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return writeZeros(f, n)
	}
	return err
}
