package doctor

import (
	"io/fs"

	"golang.org/x/sys/windows"
)

func freeBytes(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return int64(free), err
}

// tooOpen is for modes; the folder's access list is the installer's.
func tooOpen(fs.FileInfo) string { return "" }
