package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID tells one boot of the machine from another (random(4)).
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// proc is one process as /proc shows it.
type proc struct {
	pid, parent, session int
	start                string // field 22 of stat: clock ticks since boot
	dead                 bool   // a zombie: it has no effect any more
}

var errStat = errors.New("malformed /proc stat")

func readStat(pid int) (proc, error) {
	text, err := readSmall("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return proc{}, err
	}
	return parseStat(pid, text)
}

// readSmall reads a file of the kernel that is shorter than 1 KiB, with as few
// system calls as that takes: it is read for each job, and for each process of
// a tree.
func readSmall(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	_ = unix.Close(fd) // it was only read
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// parseStat reads proc_pid_stat(5). The command name in parentheses may itself
// hold parentheses and spaces.
func parseStat(pid int, text string) (proc, error) {
	i := strings.LastIndexByte(text, ')')
	if i < 0 {
		return proc{}, errStat
	}
	f := strings.Fields(text[i+1:])
	if len(f) < 20 {
		return proc{}, errStat
	}
	parent, err1 := strconv.Atoi(f[1])
	session, err2 := strconv.Atoi(f[3])
	if err := errors.Join(err1, err2); err != nil {
		return proc{}, err
	}
	return proc{pid: pid, parent: parent, session: session, start: f[19], dead: f[0] == "Z" || f[0] == "X"}, nil
}

// signal sends a signal to this very process, and to no other that got its pid.
func (p proc) signal(s unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd) //nolint:errcheck // a descriptor that was only read
	now, err := readStat(p.pid)
	if err != nil || now.start != p.start {
		return
	}
	_ = unix.PidfdSendSignal(fd, s, nil, 0) // gone is as good; a refusal shows in the next round
}

func processes() []proc {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close() //nolint:errcheck // read only
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var list []proc
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil || pid == os.Getpid() {
			continue
		}
		if p, err := readStat(pid); err == nil && !p.dead {
			list = append(list, p)
		}
	}
	return list
}

// tree finds the live processes of a job: the main one, those of its session,
// those that carry its nonce, and the descendants of all of them. main may be a
// zombie, or 0 where it is not known to be the same process any more.
func tree(main int, nonce string) []proc {
	all := processes()
	mark := []byte(NonceVariable + "=" + nonce)
	in := map[int]bool{}
	for _, p := range all {
		if main > 0 && (p.pid == main || p.parent == main || p.session == main) || carries(p.pid, mark) {
			in[p.pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !in[p.pid] && in[p.parent] {
				in[p.pid], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(all, func(p proc) bool { return !in[p.pid] })
}

// carries reports whether a process was started with a variable.
func carries(pid int, mark []byte) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	for e := range bytes.SplitSeq(b, []byte{0}) {
		if bytes.Equal(e, mark) {
			return true
		}
	}
	return false
}

// strangeChildren reports whether the runner has children beside these: those
// that the end of their parents brought to it. Where the kernel does not list
// children it answers true, and the caller looks closer.
func strangeChildren(mains map[int]bool) bool {
	list, err := ownChildren()
	if err != nil {
		return true
	}
	return slices.ContainsFunc(list, func(pid int) bool { return !mains[pid] })
}

func ownChildren() ([]int, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var list []int
	for _, t := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if errors.Is(err, os.ErrNotExist) && slices.Contains(tids(), t.Name()) {
			return nil, err // not the thread is missing but the file
		}
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				list = append(list, pid)
			}
		}
	}
	return list, nil
}

func tids() []string {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	names := make([]string, len(tasks))
	for i, t := range tasks {
		names[i] = t.Name()
	}
	return names
}

// reapOrphans collects the dead among the children that are no main process,
// so that they do not stay as zombies.
func (h *host) reapOrphans() {
	list, err := ownChildren()
	if err != nil {
		list = nil
		for _, p := range zombies() {
			list = append(list, p.pid)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, pid := range list {
		if !h.mains[pid] {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // alive or gone: nothing to collect
		}
	}
}

// zombies lists the runner's own dead children by searching /proc.
func zombies() []proc {
	var list []proc
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := readStat(pid); err == nil && p.dead && p.parent == os.Getpid() {
			list = append(list, p)
		}
	}
	return list
}

// killOrphans ends what a dead runner's job left running on this boot.
func (h *host) killOrphans(r record) {
	if r.begun == nil || r.begun.Boot != h.boot || r.begun.Nonce == "" {
		return
	}
	main := 0
	if r.child != nil {
		if now, err := readStat(r.child.PID); err == nil && now.start == r.child.Start {
			main = r.child.PID
		}
	}
	for range killRounds {
		list := tree(main, r.begun.Nonce)
		if len(list) == 0 {
			return
		}
		for _, p := range list {
			p.signal(unix.SIGKILL)
		}
		pause(killPause)
	}
}
