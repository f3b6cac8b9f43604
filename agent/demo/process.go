package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Process is an agent in a process of its own, which is started again when it
// is killed.
type Process struct {
	Program []string // the program and arguments that run an agent
	Dir     string   // its folder: configuration, log
	Env     []string // besides the caller's

	mu  sync.Mutex
	cmd *exec.Cmd
	end chan struct{} // closed when cmd has ended
}

// Start starts the agent.
func (p *Process) Start() error {
	log, err := os.OpenFile(filepath.Join(p.Dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.New(fault.Unavailable, "write", "the agent's log", err).WithHint("check the temporary folder")
	}
	cmd := exec.Command(p.Program[0], p.Program[1:]...) //nolint:noctx // it is killed by hand, again and again
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.Env...)
	detach(cmd)
	err = errors.Join(cmd.Start(), log.Close())
	if err != nil {
		return fault.New(fault.Internal, "start", p.Program[0], err).WithHint("run the program by its whole path")
	}
	end := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(end)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.end = cmd, end
	return nil
}

// Kill ends the agent at once, as a power cut would.
func (p *Process) Kill() {
	cmd, end := p.current()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may be gone already
	<-end
}

// Stop asks the agent to stop, and kills it after a time.
func (p *Process) Stop(within time.Duration) error {
	cmd, end := p.current()
	if cmd == nil {
		return nil
	}
	if err := interrupt(cmd.Process); err != nil {
		p.Kill()
		return nil
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-end:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("the agent did not stop within %v", within)
	}
}

// PID returns the process id, 0 before the start.
func (p *Process) PID() int {
	cmd, _ := p.current()
	if cmd == nil {
		return 0
	}
	return cmd.Process.Pid
}

// Ended returns a channel that is closed when the agent has ended.
func (p *Process) Ended() <-chan struct{} {
	_, end := p.current()
	return end
}

func (p *Process) current() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.end
}

// LogTail returns the end of the agent's log.
func (p *Process) LogTail(most int) string {
	data, err := os.ReadFile(filepath.Join(p.Dir, "agent.log"))
	if err != nil {
		return "no log: " + err.Error()
	}
	return string(data[max(0, len(data)-most):])
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func quote(s string) string { return strconv.Quote(s) }
