package runner

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// host is what the runner has of its system, for all children.
type host struct {
	boot   string
	groups *cgroups // nil where the runner may not make control groups
	log    *slog.Logger

	mu    sync.Mutex
	mains map[int]bool // pids of main processes that are not reaped yet
}

// newHost prepares the process for being the runner: whatever a child leaves
// behind becomes the runner's own child, and every file is private.
func newHost(dir string, noCgroup bool, log *slog.Logger) (*host, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	syscall.Umask(0o077)
	h := &host{boot: boot, log: log, mains: map[int]bool{}}
	if !noCgroup {
		h.groups = openCgroups(dir, log)
	}
	return h, nil
}

func (h *host) trees() string {
	if h.groups != nil {
		return "cgroup"
	}
	return "subreaper"
}

func (h *host) close() {
	if h.groups != nil {
		h.groups.remove()
	}
}

func executable(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return "", &fs.PathError{Op: "execute", Path: path, Err: fs.ErrPermission}
	}
	return path, nil
}

// program returns the file to execute and its whole argument vector.
func program(spec *Spec, env []string) (path string, argv []string, err error) {
	if spec.Shell != "" {
		return "/bin/sh", []string{"sh", "-c", spec.Shell}, nil
	}
	if path, err = lookPath(spec, env); err != nil {
		return "", nil, err
	}
	return path, append([]string{spec.Program}, spec.Args...), nil
}

type linuxChild struct {
	h     *host
	p     *os.Process
	id    identity
	nonce string
	group *cgroup // nil without control groups
}

// prepared is what of a start can be done before the job is begun, because it
// has no effect that lasts: the next runner removes a control group too.
type prepared struct {
	path  string
	argv  []string
	group *cgroup // nil without control groups
	err   error
}

// prepare does what can be done before the job is begun. Its error is start's.
func (h *host) prepare(l *launch) {
	r := &l.ready
	var err error
	if r.path, r.argv, err = program(l.spec, l.env); err != nil {
		r.err = startFailure(err)
		return
	}
	if h.groups == nil {
		return
	}
	if r.group, err = h.groups.create(l.key, l.spec); err != nil {
		r.err = &startError{OtherStart, err}
	}
}

// abandon gives up what prepare made, instead of a start.
func (h *host) abandon(l *launch) { l.ready.group.remove() }

// start starts a prepared job's main process, the leader of a session of its own. With
// an account it can gain no privileges any more, through no setuid program:
// a thread that gave that up starts it, and ends.
func (h *host) start(l *launch) (c child, err error) {
	if l.ready.err != nil {
		return nil, l.ready.err
	}
	defer func() {
		if err != nil {
			h.abandon(l)
		}
	}()
	if l.spec.Account == "" {
		return h.spawn(l)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			err = &startError{Refused, err}
			return
		}
		c, err = h.spawn(l)
	}()
	<-done
	return c, err
}

func (h *host) spawn(l *launch) (child, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	var err error
	if attr.Credential, err = credential(l.spec.Account); err != nil {
		return nil, &startError{Refused, err}
	}
	c := &linuxChild{h: h, nonce: l.nonce, group: l.ready.group}
	if c.group != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, c.group.fd
	}
	limits := rlimits(l.spec, c.group)
	// A process with limits of its own is stopped at its first instruction until
	// they are set.
	attr.Ptrace = len(limits) > 0
	if attr.Ptrace {
		runtime.LockOSThread() // the tracer is a thread
		defer runtime.UnlockOSThread()
	}
	h.mu.Lock()
	c.p, err = os.StartProcess(l.ready.path, l.ready.argv, &os.ProcAttr{
		Dir: l.spec.Dir, Env: l.env, Sys: attr, Files: []*os.File{l.stdin, l.stdout, l.stderr},
	})
	if err == nil {
		h.mains[c.p.Pid] = true
	}
	h.mu.Unlock()
	if err != nil {
		return nil, startFailure(err)
	}
	if attr.Ptrace {
		if err := setLimits(c.p.Pid, limits); err != nil {
			c.kill()
			c.reap()
			return nil, &startError{Refused, err}
		}
	}
	c.id = identity{PID: c.p.Pid, Boot: h.boot}
	if st, err := readStat(c.p.Pid); err == nil {
		c.id.Start = st.start
	}
	return c, nil
}

type limit struct {
	resource int
	value    uint64
}

// rlimits are the limits that no control group enforces.
func rlimits(spec *Spec, g *cgroup) []limit {
	var list []limit
	if spec.Memory > 0 && !g.has("memory") {
		list = append(list, limit{unix.RLIMIT_AS, uint64(spec.Memory)})
	}
	if spec.CPU > 0 && spec.Timeout > 0 && !g.has("cpu") {
		list = append(list, limit{unix.RLIMIT_CPU, uint64(math.Ceil(spec.CPU * spec.Timeout.Seconds()))})
	}
	return list
}

// setLimits bounds a process that is stopped by Ptrace, and lets it go.
func setLimits(pid int, limits []limit) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	for _, l := range limits {
		if err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}, nil); err != nil {
			return err
		}
	}
	return syscall.PtraceDetach(pid)
}

func (c *linuxChild) identity() identity { return c.id }

// await waits without holding a thread where the runtime's poller takes a
// process descriptor (Linux 5.10), and else with one.
func (c *linuxChild) await() {
	fd, err := unix.PidfdOpen(c.p.Pid, unix.PIDFD_NONBLOCK)
	if err == nil {
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close() //nolint:errcheck // a descriptor that was only polled
		if raw, err := f.SyscallConn(); err == nil && raw.Read(c.ended) == nil {
			return
		}
	}
	for {
		err := unix.Waitid(unix.P_PID, c.p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// ended reports whether the main process has ended, without waiting.
func (c *linuxChild) ended(uintptr) bool {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, c.p.Pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || info.Signo != 0
		}
	}
}

func (c *linuxChild) reap() exit {
	state, err := c.p.Wait()
	c.h.mu.Lock()
	delete(c.h.mains, c.p.Pid)
	c.h.mu.Unlock()
	e := exit{code: -1, oom: c.group.oomKilled()}
	if err != nil {
		return e
	}
	e.code = state.ExitCode()
	e.cpu = state.UserTime() + state.SystemTime()
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.signal = ws.Signal().String()
	}
	if ru, ok := state.SysUsage().(*syscall.Rusage); ok {
		e.maxRSS = ru.Maxrss << 10
	}
	return e
}

func (c *linuxChild) release() { c.group.remove() }

func (c *linuxChild) terminate() {
	for _, p := range c.members() {
		p.signal(unix.SIGTERM)
	}
}

// killRounds bounds the hunt for processes that multiply while they are killed
// or that the system does not let die (a hung disk).
const killRounds = 200

func (c *linuxChild) kill() {
	if c.group.kill() {
		return
	}
	_ = c.p.Signal(unix.SIGKILL) // it may be gone already, which is as good
	for round := range killRounds {
		list := c.members()
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			p.signal(unix.SIGKILL)
		}
		pause(time.Duration(min(round, 20)) * time.Millisecond)
	}
	c.h.log.Warn("processes survive the kill", "pid", c.p.Pid)
}

// members lists the live processes of the tree.
func (c *linuxChild) members() []proc {
	if c.group != nil {
		return c.group.members()
	}
	return tree(c.p.Pid, c.nonce)
}

func (c *linuxChild) leftovers() bool {
	if c.group != nil {
		return c.group.populated()
	}
	c.h.mu.Lock()
	strange := strangeChildren(c.h.mains)
	c.h.mu.Unlock()
	return strange && len(tree(c.p.Pid, c.nonce)) > 0
}
