package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// pipeName is the same for every spelling of the state folder.
func pipeName(dir string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(filepath.Clean(dir))))
	return `\\.\pipe\sallyport-runner-` + hex.EncodeToString(sum[:12])
}

// listen opens the named pipe, for this account, the system and administrators
// alone, and never for somebody who comes over the network.
func listen(_ context.Context, dir string) (net.Listener, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	sddl := "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;" + user.User.Sid.String() + ")"
	return winio.ListenPipe(pipeName(dir), &winio.PipeConfig{
		SecurityDescriptor: sddl, InputBufferSize: 64 << 10, OutputBufferSize: 64 << 10,
	})
}

// dial connects so that the other side cannot act in this account's name.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, pipeName(dir))
}

// checkPeer has nothing to add: the pipe's security descriptor decided.
func checkPeer(net.Conn) error { return nil }

// lockFile takes an exclusive lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	if err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDir has nothing to do: NTFS journals its names, and a folder cannot be
// flushed without administrators' rights.
func syncDir(string) error { return nil }

type folder struct{}

func openFolder(string) (*folder, error) { return &folder{}, nil }

func (*folder) sync() error { return nil }

// detached lets a process outlive the one that starts it, and its console.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS,
	}
}

// orphans never tells: Windows keeps no dead children.
func (h *host) orphans() (tick <-chan time.Time, stop func()) { return nil, func() {} }

func (h *host) reapOrphans() {}

// killOrphans has nothing to do: a job object ends its processes when its last
// handle closes, and the dead runner had the only one.
func (h *host) killOrphans(record) {}

// syncData makes what a file holds durable.
func syncData(f *os.File) error { return f.Sync() }

// canReuse is false: an open file cannot be renamed.
const canReuse = false

func renameNew(string, string) error { return errors.ErrUnsupported }
