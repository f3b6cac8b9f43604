//go:build !linux

package bolt

// fillAhead is for Linux: elsewhere the lock of the file can keep a second
// handle from writing.
func (s *Store) fillAhead() { s.ahead = 0 }
