package agent

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// giveBackPages lets go of pages that the system can read again from their
// files: those of the queue's file, and those of this program that only the
// start or the work needed. A page that is needed is mapped again when it is
// touched. What cannot be let go stays. It returns the size of the mappings in
// bytes.
func giveBackPages(stateDir string) (size uintptr) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	program := programFile()
	for line := range strings.Lines(string(maps)) {
		// address perms offset dev inode path; see proc(5)
		fields := strings.Fields(line)
		if len(fields) != 6 || !discardable(fields[1], fields[5], program, stateDir) {
			continue
		}
		from, to, ok := addresses(fields[0])
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno == 0 {
			size += to - from
		}
	}
	return size
}

// discardable reports whether nothing but the file's own content can be in a
// mapping: one of the queue that is shared, or one of the program that nobody
// ever could write to.
func discardable(perms, path, program, stateDir string) bool {
	switch perms {
	case "r--s":
		return strings.HasPrefix(path, filepath.Clean(stateDir)+string(filepath.Separator))
	case "r--p", "r-xp":
		return program != "" && path == program
	default:
		return false
	}
}

// programFile returns the path of this program where its read-only mappings are
// as they are in the file. In a position-independent one the loader writes to
// some of them before it protects them.
func programFile() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "-buildmode" && s.Value == "exe" {
			return path
		}
	}
	return ""
}

// addresses reads the range of a mapping.
func addresses(s string) (from, to uintptr, ok bool) {
	low, high, found := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(low, 16, 64)
	b, err2 := strconv.ParseUint(high, 16, 64)
	return uintptr(a), uintptr(b), found && err1 == nil && err2 == nil && b > a
}
