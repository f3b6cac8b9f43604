package runner

import "time"

// State is what the runner knows of a job.
type State string

// The states. A state that a newer runner invents counts as Lost.
const (
	// Fenced: it never started, and no attempt up to the fence ever will.
	Fenced State = "fenced"
	// Running: its child is alive, or about to be.
	Running State = "running"
	// Exited: it ended, and Result says how.
	Exited State = "exited"
	// Lost: it was begun and its runner died: what it did is not known.
	Lost State = "lost"
	// Forgotten: it ended and its result was fetched and given up.
	Forgotten State = "forgotten"
)

// Status is what Lookup finds of a job.
type Status struct {
	Job     string    `json:"job"`
	Attempt int       `json:"attempt"`
	State   State     `json:"state"`
	PID     int       `json:"pid,omitempty"`
	Begun   time.Time `json:"begun,omitzero"`
	// Result is set for Exited.
	Result *Result `json:"result,omitempty"`
}

// Cause says why a job ended otherwise than by itself.
type Cause string

// The causes.
const (
	// ByItself: the main process exited or was killed by somebody else.
	ByItself Cause = ""
	// TimedOut: the Timeout was reached.
	TimedOut Cause = "timeout"
	// Canceled: somebody called Cancel.
	Canceled Cause = "canceled"
	// Stopped: the runner itself was told to end.
	Stopped Cause = "runner stopped"
	// OutOfMemory: the kernel killed it for its Memory limit.
	OutOfMemory Cause = "memory limit"
	// NotStarted: the child process could not be started; StartError says why.
	NotStarted Cause = "not started"
)

// StartFailure classifies why a child process could not be started.
type StartFailure string

// The reasons.
const (
	NotFound   StartFailure = "not_found"
	Permission StartFailure = "permission"
	Refused    StartFailure = "refused" // arguments or limits that cannot be honored
	OtherStart StartFailure = "other"
)

// Result is how a job ended.
type Result struct {
	ExitCode int    `json:"exit_code"`        // -1 when a signal ended it
	Signal   string `json:"signal,omitempty"` // "killed"; Linux only
	Cause    Cause  `json:"cause,omitempty"`
	// StartError and StartFailure are set for NotStarted.
	StartError   string        `json:"start_error,omitempty"`
	StartFailure StartFailure  `json:"start_failure,omitempty"`
	Started      time.Time     `json:"started"`
	Ended        time.Time     `json:"ended"`
	CPU          time.Duration `json:"cpu"`     // user and system time of the main process and what it waited for
	MaxRSS       int64         `json:"max_rss"` // bytes, the largest process
	Leftovers    bool          `json:"leftovers,omitempty"`
	Stdout       Output        `json:"stdout"`
	Stderr       Output        `json:"stderr"`
}

// TimedOut reports that the runner ended the job for its timeout.
func (r *Result) TimedOut() bool { return r.Cause == TimedOut }

// Canceled reports that the job was ended on request.
func (r *Result) Canceled() bool { return r.Cause == Canceled || r.Cause == Stopped }

// Info is what a runner says of itself.
type Info struct {
	Version  string   `json:"version"`
	Protocol int      `json:"protocol"`
	Features []string `json:"features"`
	PID      int      `json:"pid"`
	BootID   string   `json:"boot_id"`
	Running  int      `json:"running"`
	Kept     int      `json:"kept"`   // ended jobs whose results nobody gave up yet
	Trees    string   `json:"trees"`  // "cgroup", "subreaper" or "job object"
	Forked   bool     `json:"forked"` // ends by itself when idle
}
