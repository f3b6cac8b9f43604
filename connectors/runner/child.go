package runner

import (
	"os"
	"time"
)

// launch is all that starting one child needs.
type launch struct {
	spec   *Spec
	env    []string
	nonce  string
	key    string // names the job's control group
	stdin  *os.File
	stdout *os.File
	stderr *os.File

	ready prepared // by host.prepare
}

// exit is how a main process ended.
type exit struct {
	code   int
	signal string
	cpu    time.Duration
	maxRSS int64
	oom    bool
}

// child is one started job: its main process and the tree below it. The
// methods may be called concurrently, but for reap, which comes last.
type child interface {
	// identity is of the main process.
	identity() identity
	// await returns when the main process has ended. It can still be told from
	// all others: its pid is not free before reap.
	await()
	// terminate asks all processes of the tree to end.
	terminate()
	// kill ends all processes of the tree and returns when none is left, or when
	// it gave up on those that the system does not let die.
	kill()
	// leftovers reports whether processes of the tree outlive the main one.
	leftovers() bool
	// reap tells how the main process ended, and frees its pid.
	reap() exit
	// release frees what else the system keeps for the child, after reap.
	release()
}

// startError is why a child could not be started.
type startError struct {
	why StartFailure
	err error
}

func (e *startError) Error() string { return e.err.Error() }

func (e *startError) Unwrap() error { return e.err }

func startFailure(err error) *startError {
	switch {
	case os.IsNotExist(err):
		return &startError{NotFound, err}
	case os.IsPermission(err):
		return &startError{Permission, err}
	default:
		return &startError{OtherStart, err}
	}
}

func pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}
