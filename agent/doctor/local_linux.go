package doctor

import (
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// tooOpen says what is wrong with a folder that others may read or write.
func tooOpen(info fs.FileInfo) string {
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return fmt.Sprintf("is open to others (mode %04o)", mode)
	}
	return ""
}
