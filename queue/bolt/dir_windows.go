package bolt

import (
	"os"

	"golang.org/x/sys/windows"
)

// renamesOpenFiles: the file that is renamed over must not be open.
const renamesOpenFiles = false

// syncDir does nothing: Windows has no handle of a folder to flush; NTFS
// journals the change of a name, and the file itself was flushed before.
func syncDir(string) error { return nil }

// freeBytes returns the free space that this process can use.
func freeBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, 1<<62)), nil
}

// unlock does nothing: the lock goes with the handle.
func unlock(*os.File) {}
