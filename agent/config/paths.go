package config

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/sallyport-agent/sallyport/agent/control"
)

// DefaultPath returns where the configuration is on this platform.
func DefaultPath() string { return pathOn(runtime.GOOS, "config") }

// DefaultStateDir returns where the state is on this platform.
func DefaultStateDir() string { return pathOn(runtime.GOOS, "state") }

// DefaultSocket returns the unix socket or named pipe of the command line.
func DefaultSocket() string { return pathOn(runtime.GOOS, "socket") }

func pathOn(goos, what string) string {
	if goos == "windows" {
		if what == "socket" {
			return `\\.\pipe\sallyport`
		}
		base := os.Getenv("ProgramData")
		if !filepath.IsAbs(base) {
			base = `C:\ProgramData`
		}
		if what == "config" {
			return base + `\Sallyport\sallyport.toml`
		}
		return base + `\Sallyport\state`
	}
	switch what {
	case "config":
		return "/etc/sallyport/sallyport.toml"
	case "socket":
		return "/run/sallyport/sallyport.sock"
	default:
		return "/var/lib/sallyport"
	}
}

func (c *Config) fillPaths() {
	if c.StateDir == "" {
		c.StateDir = DefaultStateDir()
	}
	switch {
	case c.Control.Socket != "":
	case c.StateDir == DefaultStateDir():
		c.Control.Socket = DefaultSocket()
	default: // a second agent of this host
		c.Control.Socket = control.Path(c.StateDir)
	}
}
