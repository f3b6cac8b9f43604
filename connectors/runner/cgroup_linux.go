package runner

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const killPause = 5 * time.Millisecond

// cgroups is the runner's own branch of the control group tree (version 2; the
// kernel's Documentation/admin-guide/cgroup-v2.rst), with one group for each
// running job.
type cgroups struct {
	path        string
	controllers []string // those that bound the jobs
	log         *slog.Logger
}

// openCgroups makes the runner's branch below the group that it runs in, and
// kills what an earlier runner of the same folder left there. It returns nil
// where that is not possible or not allowed.
func openCgroups(dir string, log *slog.Logger) *cgroups {
	base := ownGroup()
	if base == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(dir))
	g := &cgroups{path: filepath.Join(base, "sallyport-jobs-"+hex.EncodeToString(sum[:6])), log: log}
	if err := os.Mkdir(g.path, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(g.path, "cgroup.kill")); err != nil { // Linux 5.14
		g.remove()
		return nil
	}
	g.sweep()
	g.delegate(base)
	log.Debug("control groups in use", "path", g.path, "controllers", g.controllers)
	return g
}

// ownGroup returns the folder of the runner's own version 2 group, or "".
func ownGroup() string {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	group, mount := "", ""
	for l := range strings.Lines(string(own)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(l), "0::"); ok {
			group = p
		}
	}
	for l := range strings.Lines(string(mounts)) {
		head, tail, ok := strings.Cut(l, " - ")
		if f := strings.Fields(head); ok && len(f) > 4 && strings.HasPrefix(tail, "cgroup2 ") {
			mount = f[4]
		}
	}
	if group == "" || mount == "" || strings.Contains(group, "..") {
		return ""
	}
	return filepath.Join(mount, group)
}

// delegate turns the controllers on where the runner is alone in its group, as
// in a systemd unit with Delegate=yes: it steps aside into a leaf, because a
// group with processes of its own cannot bound its children.
func (g *cgroups) delegate(base string) {
	procs, err := os.ReadFile(filepath.Join(base, "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(procs)) != strconv.Itoa(os.Getpid()) {
		g.enable(g.path) // the parent may already offer them
		return
	}
	leaf := filepath.Join(base, "sallyport-runner")
	err = os.Mkdir(leaf, 0o750)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = put(leaf, "cgroup.procs", strconv.Itoa(os.Getpid()))
	}
	if err != nil {
		g.log.Debug("no control group for the runner itself", "err", err)
		return
	}
	g.enable(base)
	g.enable(g.path)
}

func (g *cgroups) enable(path string) {
	offered, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if err != nil {
		return
	}
	g.controllers = nil
	for _, c := range []string{"memory", "cpu"} {
		if slices.Contains(strings.Fields(string(offered)), c) && put(path, "cgroup.subtree_control", "+"+c) == nil {
			g.controllers = append(g.controllers, c)
		}
	}
}

func put(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// sweep kills and removes the jobs' groups that are there: the lock on the state
// folder says that nobody else can be using them.
func (g *cgroups) sweep() {
	entries, err := os.ReadDir(g.path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			c := &cgroup{path: filepath.Join(g.path, e.Name()), all: g}
			c.kill()
			c.remove()
		}
	}
}

func (g *cgroups) remove() {
	_ = os.Remove(g.path) // stays where a job's group could not be removed; the next runner sweeps it
}

// cgroup is the control group of one job. All methods work on nil, which stands
// for no control groups.
type cgroup struct {
	path   string
	fd     int // of the folder; 0 is none
	events int // cgroup.events, open; 0 is none
	all    *cgroups
}

func (g *cgroups) create(key string, spec *Spec) (*cgroup, error) {
	c := &cgroup{path: filepath.Join(g.path, key), all: g}
	err := os.Mkdir(c.path, 0o750)
	if err == nil && spec.Memory > 0 && c.has("memory") {
		err = errors.Join(put(c.path, "memory.max", strconv.FormatInt(spec.Memory, 10)), c.noSwap())
	}
	if err == nil && spec.CPU > 0 && c.has("cpu") {
		err = put(c.path, "cpu.max", strconv.FormatInt(max(1000, int64(spec.CPU*100_000)), 10)+" 100000")
	}
	if err == nil {
		c.fd, err = unix.Open(c.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		c.events, err = unix.Openat(c.fd, "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		c.remove()
		return nil, err
	}
	return c, nil
}

func (c *cgroup) noSwap() error {
	err := put(c.path, "memory.swap.max", "0")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without swap accounting
	}
	return err
}

func (c *cgroup) has(controller string) bool {
	return c != nil && slices.Contains(c.all.controllers, controller)
}

func (c *cgroup) populated() bool {
	if c.events == 0 { // one that an earlier runner left
		events, err := readSmall(c.path + "/cgroup.events")
		return err == nil && strings.Contains(events, "populated 1")
	}
	var buf [256]byte
	n, err := unix.Pread(c.events, buf[:], 0)
	return err == nil && bytes.Contains(buf[:n], []byte("populated 1"))
}

// kill ends every process of the group and reports whether none is left.
func (c *cgroup) kill() bool {
	if c == nil {
		return false
	}
	for range killRounds {
		if err := put(c.path, "cgroup.kill", "1"); err != nil {
			return errors.Is(err, fs.ErrNotExist)
		}
		if !c.populated() {
			return true
		}
		pause(killPause)
	}
	return false
}

// members lists the processes of the group and of groups below it.
func (c *cgroup) members() []proc {
	var list []proc
	_ = filepath.WalkDir(c.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // a group that is gone has no members
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for f := range strings.FieldsSeq(string(b)) {
			pid, _ := strconv.Atoi(f)
			if p, e := readStat(pid); err == nil && e == nil && !p.dead {
				list = append(list, p)
			}
		}
		return nil
	})
	return list
}

func (c *cgroup) oomKilled() bool {
	if !c.has("memory") {
		return false
	}
	b, err := os.ReadFile(filepath.Join(c.path, "memory.events"))
	if err != nil {
		return false
	}
	for l := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(l, "oom_kill "); ok && strings.TrimSpace(n) != "0" {
			return true
		}
	}
	return false
}

// remove frees the group, with groups that the job itself made below it.
func (c *cgroup) remove() {
	if c == nil {
		return
	}
	if c.fd > 0 {
		_ = unix.Close(c.fd) // a folder that was only named
		c.fd = 0
	}
	if c.events > 0 {
		_ = unix.Close(c.events) // it was only read
		c.events = 0
	}
	for range killRounds {
		err := unix.Rmdir(c.path)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		entries, _ := os.ReadDir(c.path)
		for _, e := range entries {
			if e.IsDir() {
				(&cgroup{path: filepath.Join(c.path, e.Name()), all: c.all}).remove()
			}
		}
		pause(killPause)
	}
	c.all.log.Warn("control group stays", "path", c.path)
}
