package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const maxSocket = 107 // bytes of a socket's path (unix(7)), without the final NUL

// Path returns where the local API of the agent with this state folder is.
func Path(stateDir string) string { return filepath.Join(stateDir, "control.sock") }

// listener removes its socket, and nobody else's, when it is closed.
type listener struct {
	net.Listener
	dir  *os.File
	name string
	own  fs.FileInfo
}

// listen opens the socket at path for the owner and, when it is not empty, for a
// group.
func listen(ctx context.Context, path, group string, log *slog.Logger) (net.Listener, error) {
	if err := makeFolder(filepath.Dir(path), group); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	l := &listener{dir: dir, name: filepath.Base(path)}
	if err := l.open(ctx, path, group); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if group != "" {
		warnUnreachable(dir, path, group, log)
	}
	return l, nil
}

func (l *listener) open(ctx context.Context, path, group string) error {
	gid, err := groupID(group)
	if err != nil {
		return err
	}
	if err := refuseLive(ctx, l.dir, l.name, path); err != nil {
		return err
	}
	temporary := l.name + "." + strconv.Itoa(os.Getpid())
	at := reach(l.dir, temporary)
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The mode of the descriptor before it is bound is the mode of the file:
	// there is no moment at which others could connect.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	nl, err := lc.Listen(ctx, "unix", at)
	if err != nil {
		return err
	}
	if u, ok := nl.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // Close does it, if the file is still ours
	}
	if err := l.publish(at, gid); err != nil {
		return errors.Join(err, nl.Close(), os.Remove(at))
	}
	l.Listener = nl
	return nil
}

// makeFolder makes the socket's folder where it is missing (/run is empty after a
// boot). A group must be able to pass through it.
func makeFolder(dir, group string) error {
	if group == "" {
		return os.MkdirAll(dir, 0o700)
	}
	return os.MkdirAll(dir, 0o755) //nolint:gosec // the socket's own mode decides who may connect
}

// publish gives the socket its group and its name.
func (l *listener) publish(at string, gid int) error {
	if gid >= 0 {
		if err := os.Lchown(at, -1, gid); err != nil {
			return err
		}
		if err := os.Chmod(at, 0o660); err != nil { //nolint:gosec // the group was asked for; connecting needs the right to write
			return err
		}
	}
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	l.own = info
	return os.Rename(at, reach(l.dir, l.name))
}

// Close stops listening and removes the socket, unless a newer agent has put its
// own in place.
func (l *listener) Close() error {
	at := reach(l.dir, l.name)
	var removed error
	if now, err := os.Lstat(at); err == nil && os.SameFile(now, l.own) {
		removed = os.Remove(at)
	}
	return errors.Join(l.Listener.Close(), removed, l.dir.Close())
}

// reach names a file of a folder by a path that fits a socket's address.
func reach(dir *os.File, name string) string {
	if path := filepath.Join(dir.Name(), name); len(path) <= maxSocket {
		return path
	}
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + name
}

// refuseLive fails where a living agent listens, or where the path is taken by
// something that is no socket.
func refuseLive(ctx context.Context, dir *os.File, name, path string) error {
	at := reach(dir, name)
	info, err := os.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fault.New(fault.Conflict, "listen on", path, errors.New("something that is no socket has this name")).
			WithHint("move it away; the agent needs the name for its local API")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", at)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil // left behind by an agent that died
	}
	if err != nil {
		return err
	}
	who := errors.New("another agent listens there")
	if cred, err := credentials(conn); err == nil {
		who = fmt.Errorf("another agent listens there: pid %d", cred.Pid)
	}
	return errors.Join(fault.New(fault.Conflict, "listen on", path, who).
		WithHint("stop the other agent first, or give this one a state_dir of its own"), conn.Close())
}

// groupID returns the number of a group, -1 for none.
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if gid, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(gid), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fault.New(fault.Invalid, "look up group", group, errors.New("there is no such group")).
			WithHint("create it with `groupadd --system " + group + "`, or change the control group of the configuration")
	}
	return strconv.Atoi(g.Gid)
}

// warnUnreachable tells when the group cannot come as far as the socket.
func warnUnreachable(dir *os.File, path, group string, log *slog.Logger) {
	info, err := dir.Stat()
	if err != nil || info.Mode().Perm()&0o011 != 0 {
		return
	}
	log.Warn("the group cannot enter the folder of the control socket", "path", path, "group", group,
		"hint", "let the group pass through the state folder: chgrp and chmod g+x")
}

// dial connects to the socket at path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	if len(path) <= maxSocket {
		return d.DialContext(ctx, "unix", path)
	}
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	conn, err := d.DialContext(ctx, "unix", reach(dir, filepath.Base(path)))
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return conn, dir.Close()
}

// identify asks the kernel who connected.
func identify(conn net.Conn) (peer, error) {
	cred, err := credentials(conn)
	if err != nil {
		return peer{}, err
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	p := peer{account: "uid " + uid, admin: cred.Uid == 0 || int(cred.Uid) == os.Geteuid()}
	if u, err := user.LookupId(uid); err == nil {
		p.account = u.Username
	}
	return p, nil
}

func credentials(conn net.Conn) (*unix.Ucred, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return cred, nil
}
