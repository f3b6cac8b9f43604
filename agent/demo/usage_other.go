//go:build !linux

package demo

// usage is not known on this platform.
func usage(int) (taken, bool) { return taken{}, false }
