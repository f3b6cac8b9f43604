package bolt

// FreeBytes returns the disk space in bytes that this account may still take in
// a folder.
func FreeBytes(dir string) (int64, error) { return freeBytes(dir) }
