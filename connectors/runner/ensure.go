package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// ForkOptions says how to start a runner.
type ForkOptions struct {
	// Dir is the runner's state folder.
	Dir string
	// Command is the program and its arguments: those of the command that calls
	// Serve with this folder and an IdleExit.
	Command []string
	// Env is the runner's environment; nil is the caller's.
	Env []string
	// Wait is how long a new runner may take to answer; 0 is 15 seconds.
	Wait time.Duration
}

const (
	forkWait  = 15 * time.Second
	forkProbe = 10 * time.Millisecond
	maxLog    = 8 << 20
)

// Ensure returns when a runner answers. Where none does it starts one, detached
// from the caller, whose log goes to runner.log in its folder. Several callers
// at the same time start one together.
func Ensure(ctx context.Context, opts ForkOptions) (Info, error) {
	c := NewClient(ClientOptions{Dir: opts.Dir})
	defer c.Close() //nolint:errcheck,contextcheck // only asked; nothing is left to send
	if info, err := c.Ping(ctx); err == nil || fault.KindOf(err) != fault.Unavailable {
		return info, err
	}
	failed := func(err error) error {
		return fault.New(fault.Unavailable, "start runner", opts.Dir, err).
			WithHint("See " + filepath.Join(opts.Dir, "runner.log") + ".")
	}
	if err := privateDir(opts.Dir); err != nil {
		return Info{}, failed(err)
	}
	wait := opts.Wait
	if wait == 0 {
		wait = forkWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	lock, err := waitLock(ctx, filepath.Join(opts.Dir, "start.lock"))
	if err != nil {
		return Info{}, failed(err)
	}
	defer lock.Close() //nolint:errcheck // the system releases it anyway
	if info, err := c.Ping(ctx); err == nil {
		return info, nil // another starter was first
	}
	ended, err := fork(opts)
	if err != nil {
		return Info{}, failed(err)
	}
	for {
		info, err := c.Ping(ctx)
		if err == nil {
			return info, nil
		}
		t := time.NewTimer(forkProbe)
		select {
		case <-t.C:
		case err := <-ended:
			t.Stop()
			// It may have lost against a runner that the lock knew nothing of.
			if info, again := c.Ping(ctx); again == nil {
				return info, nil
			}
			return Info{}, failed(errors.Join(errors.New("it ended at once"), err))
		case <-ctx.Done():
			t.Stop()
			return Info{}, failed(errors.Join(errors.New("it does not answer"), err))
		}
	}
}

// fork starts a runner and returns a channel that tells its end.
func fork(opts ForkOptions) (<-chan error, error) {
	if len(opts.Command) == 0 {
		return nil, errors.New("no command to start it with")
	}
	path := filepath.Join(opts.Dir, "runner.log")
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		_ = os.Rename(path, path+".1") // the log may grow a little more instead
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()                                         //nolint:errcheck // the runner writes to it, not this process
	cmd := exec.Command(opts.Command[0], opts.Command[1:]...) //nolint:noctx // it shall outlive the caller
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = opts.Dir, opts.Env, log, log
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // also keeps it from staying as a zombie
	return ended, nil
}

func waitLock(ctx context.Context, path string) (*os.File, error) {
	for {
		lock, err := lockFile(path)
		if err == nil {
			return lock, nil
		}
		t := time.NewTimer(forkProbe)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, errors.Join(err, ctx.Err())
		}
	}
}
