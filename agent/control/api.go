package control

import (
	"context"
	"io"
	"time"
)

// Agent is what the local API serves: the running agent as the CLI sees it.
// All methods are safe for concurrent use. Errors are fault.Errors; their kind
// and hint reach the caller.
type Agent interface {
	Status(ctx context.Context) Status
	// Jobs returns jobs, the newest first, final ones while they are remembered.
	Jobs(ctx context.Context, f Filter) ([]Job, error)
	// Job returns one job with its parameters (redacted) and what is known of
	// its outcome.
	Job(ctx context.Context, id string) (Detail, error)
	// Output returns the report of a job as it went or will go to the instance,
	// redacted, or the output so far of a running one.
	Output(ctx context.Context, id string) (io.ReadCloser, error)
	// Explain tells how the policy judges a job, rule by rule.
	Explain(ctx context.Context, id string) (Explanation, error)

	// What follows changes something; by names who asked.
	Cancel(ctx context.Context, id, by string) error
	Approve(ctx context.Context, id, by string) error
	// Retry makes a waiting job due now, or a new run of one that failed, was
	// denied, canceled or expired; one that succeeded or is unknown needs force.
	Retry(ctx context.Context, id, by string, force bool) (newID string, err error)
	// Pause stops intake and the start of jobs, Drain only intake, Resume ends
	// both. They outlive a restart.
	Pause(ctx context.Context, note, by string) error
	Drain(ctx context.Context, note, by string) error
	Resume(ctx context.Context, by string) error
}

// Status is the agent on one screen. Times are UTC; zero times are left out.
type Status struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Mode     Mode      `json:"mode"`
	Account  string    `json:"account"`            // the account that the agent runs as
	Problems []string  `json:"problems,omitempty"` // what a person should act upon, the worst first

	Instances []Instance `json:"instances"`
	Jobs      Jobs       `json:"jobs"`
	Running   []Running  `json:"running"`
	Waiting   []Waiting  `json:"waiting"`
	Disk      Disk       `json:"disk"`
	Runner    Runner     `json:"runner"`
	Policy    Policy     `json:"policy"`
}

// Mode is whether the agent takes and starts work.
type Mode struct {
	State string    `json:"state"` // "running", "paused", "draining", "stopping"
	Note  string    `json:"note,omitempty"`
	By    string    `json:"by,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// Instance is the link to one instance.
type Instance struct {
	Name       string    `json:"name"`
	URL        string    `json:"url"`
	Agent      string    `json:"agent"` // the agent value that is served
	Link       string    `json:"link"`  // "up", "down", "never"
	LastPoll   time.Time `json:"last_poll,omitzero"`
	Error      string    `json:"error,omitempty"`
	Hint       string    `json:"hint,omitempty"`
	Blocked    string    `json:"blocked,omitempty"` // why no work is taken
	Unreported int       `json:"unreported"`        // outcomes not yet acknowledged
	Delivery   string    `json:"delivery,omitempty"`
	Twin       string    `json:"twin,omitempty"` // another agent of the same name, as it shows itself
}

// Jobs counts jobs.
type Jobs struct {
	States            map[string]int    `json:"states"`
	Results           map[string]uint64 `json:"results"` // since the start
	Delivered         uint64            `json:"delivered"`
	OldestUndelivered time.Time         `json:"oldest_undelivered,omitzero"`
	Quarantined       int               `json:"quarantined"`
	Busy              map[string]int    `json:"busy"` // workers by pool
	Workers           map[string]int    `json:"workers"`
}

// Running is a job under way.
type Running struct {
	ID       string    `json:"id"`
	Action   string    `json:"action"`
	Name     string    `json:"name"`
	Since    time.Time `json:"since"`
	Percent  int       `json:"percent"` // -1: not known
	Progress string    `json:"progress,omitempty"`
}

// Waiting is a job that waits or is held.
type Waiting struct {
	ID    string    `json:"id"`
	State string    `json:"state"`
	Name  string    `json:"name"`
	Why   string    `json:"why"`
	Until time.Time `json:"until,omitzero"`
}

// Disk is the state folder.
type Disk struct {
	Path  string `json:"path"`
	Used  int64  `json:"used_bytes"`
	Free  int64  `json:"free_bytes"`
	Error string `json:"error,omitempty"` // why nothing can be written
}

// Runner is the process that starts the jobs' processes.
type Runner struct {
	PID     int    `json:"pid,omitempty"`
	Version string `json:"version,omitempty"`
	Account string `json:"account,omitempty"`
	Mode    string `json:"mode"` // "forked" or "installed"
	Error   string `json:"error,omitempty"`
}

// Policy is what may run, in short.
type Policy struct {
	Default string `json:"default"`
	Rules   int    `json:"rules"`
}

// Filter selects jobs. Zero fields select all.
type Filter struct {
	State    string `json:"state,omitempty"`
	Result   string `json:"result,omitempty"`
	Topic    string `json:"topic,omitempty"`
	Instance string `json:"instance,omitempty"`
	Limit    int    `json:"limit,omitempty"` // 0: 100
}

// Job is one job in a list.
type Job struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Result   string    `json:"result,omitempty"`
	Topic    string    `json:"topic"`
	Action   string    `json:"action,omitempty"`
	Target   string    `json:"target,omitempty"`
	Name     string    `json:"name"`
	Source   string    `json:"source,omitempty"`
	Pool     string    `json:"pool"`
	Attempt  int       `json:"attempt"`
	Received time.Time `json:"received"`
	Changed  time.Time `json:"changed"`
	Until    time.Time `json:"until,omitzero"`
	Why      string    `json:"why,omitempty"`
	Report   string    `json:"report,omitempty"` // sys_id of the report
}

// Detail is one job with everything that is known of it.
type Detail struct {
	Job
	Agent      string            `json:"agent"`
	Correlator string            `json:"correlator,omitempty"`
	Created    time.Time         `json:"created,omitzero"`
	Started    time.Time         `json:"started,omitzero"`
	Sent       time.Time         `json:"sent,omitzero"`
	Effect     string            `json:"effect,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"` // secret ones as "***"
}

// Explanation is a decision of the policy with its reasons.
type Explanation struct {
	Job     string `json:"job"`
	Subject string `json:"subject"`
	Allow   bool   `json:"allow"`
	Hold    bool   `json:"hold,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Reason  string `json:"reason"`
	Effect  string `json:"effect,omitempty"`
	// Would is the rule (TOML) that would allow a denied job.
	Would string `json:"would,omitempty"`
	Steps []Step `json:"steps"`
}

// Step is one rule's part in a decision.
type Step struct {
	Rule    string `json:"rule"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}
