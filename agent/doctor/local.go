package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Local is what the checks of this machine need to know.
type Local struct {
	StateDir string
	Reserve  int64 // bytes that must stay free
	// Status asks the running agent; fault.Unavailable when none runs.
	Status func(ctx context.Context) (control.Status, error)
	// Free returns the free bytes of the disk that holds a folder; nil asks the
	// system.
	Free func(dir string) (int64, error)
}

// LocalChecks returns the checks of this machine.
func LocalChecks(l Local) []Check {
	if l.Free == nil {
		l.Free = freeBytes
	}
	return []Check{
		{Name: "state-folder", Run: l.folder},
		{Name: "disk", Run: l.disk},
		{Name: "agent", Run: l.agent},
	}
}

// folder writes and syncs a file in the state folder, and looks who else may
// read it.
func (l Local) folder(context.Context) Answer {
	info, err := os.Stat(l.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return Answer{Warn, l.StateDir + " does not exist yet; the agent creates it if it may", "create it for the agent's account, with mode 0700"}
	}
	if err != nil {
		return failed(err, "let the agent's account reach the folder")
	}
	if !info.IsDir() {
		return Answer{Fail, l.StateDir + " is no folder", "name a folder with state_dir"}
	}
	if loose := tooOpen(info); loose != "" {
		return Answer{Fail, l.StateDir + " " + loose, "chmod 0700 " + l.StateDir}
	}
	if err := tryWrite(l.StateDir); err != nil {
		remedy := "check the disk"
		if errors.Is(err, fs.ErrPermission) {
			remedy = "run doctor as the agent's account, and let it write to the folder"
		}
		return failed(err, remedy)
	}
	return ok("%s takes writes", l.StateDir)
}

func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, "doctor-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("written by sallyport doctor; safe to remove\n")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

func (l Local) disk(context.Context) Answer {
	dir := l.StateDir
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := l.Free(dir)
	if err != nil {
		return failed(err, "check the disk by hand")
	}
	text := fmt.Sprintf("%d MB are free, %d MB must stay free", free>>20, l.Reserve>>20)
	const remedy = "make room on the disk, or move state_dir; below the reserve no work is taken"
	switch {
	case free < l.Reserve:
		return Answer{Fail, text, remedy}
	case free < 4*l.Reserve:
		return Answer{Warn, text, remedy}
	default:
		return ok("%s", text)
	}
}

// agent asks the running agent what troubles it.
func (l Local) agent(ctx context.Context) Answer {
	s, err := l.Status(ctx)
	switch {
	case fault.KindOf(err) == fault.Unavailable && err != nil:
		return skip("no agent runs here")
	case err != nil:
		return failed(err, "run doctor as an administrator")
	}
	for _, i := range s.Instances {
		if i.Twin != "" {
			return Answer{Fail, "another agent serves " + i.Agent + ": " + i.Twin, "stop one of the two, or give it another name"}
		}
	}
	if len(s.Problems) > 0 {
		return Answer{Warn, strings.Join(s.Problems, "; "), "see `sallyport status`"}
	}
	return ok("%s %s runs as %s, pid %d", s.Name, s.Version, s.Account, s.PID)
}
