//go:build !unix

package config

// CheckPermissions finds nothing here: the mode bits that Go shows say nothing
// about the access control list, which the installer sets.
func CheckPermissions(string) Problems { return nil }
