package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketName = "runner.sock"
	maxSocket  = 107 // bytes of a unix socket's path (unix(7)), without the final NUL
)

// withSocket calls f with the socket's path. Where that is too long for the
// system, it goes by way of the folder's open descriptor.
func withSocket(dir string, f func(path string) error) error {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxSocket {
		return f(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // a folder that was only named
	return f("/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + socketName)
}

// listen opens the socket, for the owner alone. The lock on the folder says that
// a socket that is there belongs to a dead runner.
func listen(ctx context.Context, dir string) (net.Listener, error) {
	var l net.Listener
	err := withSocket(dir, func(path string) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		var lc net.ListenConfig
		var err error
		if l, err = lc.Listen(ctx, "unix", path); err != nil {
			return err
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // the path may not be valid any more; the next runner removes it
		return os.Chmod(path, 0o600)
	})
	return l, err
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := withSocket(dir, func(path string) error {
		var d net.Dialer
		var err error
		if conn, err = d.DialContext(ctx, "unix", path); err != nil {
			return err
		}
		if err = checkPeer(conn); err != nil {
			return errors.Join(err, conn.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// checkPeer lets only processes of this account or of root talk.
func checkPeer(conn net.Conn) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return errProtocol
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	if int(peer.Uid) != os.Geteuid() && peer.Uid != 0 {
		return fmt.Errorf("refused: the other side runs as user id %d", peer.Uid)
	}
	return nil
}

// lockFile takes an exclusive lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	const how = unix.LOCK_EX | unix.LOCK_NB
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// folder is an open folder whose names are made durable again and again.
type folder struct{ f *os.File }

func openFolder(dir string) (*folder, error) {
	f, err := os.Open(dir)
	return &folder{f}, err
}

func (d *folder) sync() error { return d.f.Sync() }

// detached lets a process outlive the one that starts it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// orphans tells when there may be dead children to reap, at most every
// orphanEvery.
func (h *host) orphans() (tick <-chan time.Time, stop func()) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	out := make(chan time.Time, 1)
	end := make(chan struct{})
	go func() {
		defer signal.Stop(died)
		for {
			select {
			case <-end:
				return
			case <-died:
				// Not told of each job's end meanwhile: that would wake a thread. Told
				// again before the look, so that no death is missed.
				signal.Stop(died)
				pause(orphanEvery)
				signal.Notify(died, unix.SIGCHLD)
				select {
				case out <- time.Now():
				default:
				}
			}
		}
	}()
	return out, func() { close(end) }
}

// syncData makes what a file holds durable, and of its metadata what that needs.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for failed = unix.EINTR; errors.Is(failed, unix.EINTR); {
			failed = unix.Fdatasync(int(fd))
		}
	})
	return errors.Join(err, failed)
}

// canReuse reports that renameNew works on open files.
const canReuse = true

// renameNew renames a file and never replaces another.
func renameNew(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}
