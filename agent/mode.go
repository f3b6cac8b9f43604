package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The modes, as status shows them.
const (
	modeRunning  = "running"
	modePaused   = "paused"   // takes nothing and starts nothing
	modeDraining = "draining" // takes nothing, and works off what it has
	modeStopping = "stopping"
)

// mode is whether the agent takes and starts work. What an operator chose is
// kept in a file and outlives a restart.
type mode struct {
	path string

	mu  sync.Mutex
	now control.Mode
}

// openMode reads what an operator chose last. A file that cannot be read gives
// an error: an agent that was paused must not start work by mistake.
func openMode(stateDir string) (*mode, error) {
	m := &mode{path: filepath.Join(stateDir, "mode.json"), now: control.Mode{State: modeRunning}}
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m.now)
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "read", m.path, err).
			WithHint("remove the file to let the agent run, after checking why it was paused")
	}
	return m, nil
}

func (m *mode) get() control.Mode {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// set makes a choice durable and then effective.
func (m *mode) set(state, note, by string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := control.Mode{State: state, Note: note, By: by, Since: now.UTC()}
	data, err := json.Marshal(next)
	if err == nil {
		err = writeFile(m.path, data)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "keep the mode in", m.path, err).WithHint("make room in the state folder")
	}
	m.now = next
	return nil
}

// stopping shows that the agent stops. It is not kept.
func (m *mode) stopping() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.State = modeStopping
}

// holdIntake returns why no work is taken, "" where it is.
func (m *mode) holdIntake() string {
	now := m.get()
	if now.State == modeRunning {
		return ""
	}
	if now.Note != "" {
		return now.State + ": " + now.Note
	}
	return now.State
}

// starts reports whether jobs may be started.
func (m *mode) starts() bool {
	s := m.get().State
	return s == modeRunning || s == modeDraining
}

// writeFile replaces a file so that a crash leaves the old or the new one.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
