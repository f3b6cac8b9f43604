package queue

import "time"

// Pool is one of the three worker pools of a MID Server; it follows from the
// message's priority (KB0743566).
type Pool uint8

// The pools; a lower one goes first.
const (
	Interactive Pool = iota // priority 0
	Expedited               // priority 1
	Standard                // priority 2 and everything else
)

// Pools returns all pools, the most urgent first.
func Pools() []Pool { return []Pool{Interactive, Expedited, Standard} }

// PoolOf returns the pool of a message's priority.
func PoolOf(priority int) Pool {
	switch priority {
	case 0:
		return Interactive
	case 1:
		return Expedited
	default:
		return Standard
	}
}

// String returns the pool's name as the configuration spells it.
func (p Pool) String() string {
	switch p {
	case Interactive:
		return "interactive"
	case Expedited:
		return "expedited"
	default:
		return "standard"
	}
}

// Job is the durable record of one unit of work, without its bodies. What is
// above Status never changes after Put.
type Job struct {
	ID       ID
	Instance string // the configured name of the instance
	SysID    string // of the output message
	Run      int    // 1, or more for a deliberate new run
	Agent    string // the agent value of the message: "mid.server.edge1"
	Topic    string
	Name     string // effective name, shortened for display where it is long
	Source   string // effective source
	// Correlator is the message's agent_correlator.
	Correlator string
	Sequence   string // the message's sequence: the order within a pool
	Priority   int
	Created    time.Time // sys_created_on, UTC
	Received   time.Time
	// Adopted: the message was in processing when it was first seen: another
	// agent, or this one before it lost its disk, may have started it.
	Adopted bool
	// Repeats is the earlier run whose outcome is to be reported again, without
	// running anything; "" where the job is to be run.
	Repeats ID

	// Where it runs: a lease is counted against these.
	Action string // the connector's action, "" where no connector serves the topic
	Target string // the configured target, "" for the agent's own actions
	Pool   Pool
	// Lane orders jobs: those of one lane run one after the other, in the
	// order of their sequence. "" is no lane.
	Lane string

	Status Status
}

// Status is the part of a job that transitions change.
type Status struct {
	State    State
	ModCount int64 // sys_mod_count of the message when it was last seen
	Attempt  int   // attempts begun
	Retries  int   // attempts that failed and were put aside to be made again
	// Approved names who let a held job start, "" where nobody did.
	Approved string
	// Changed is when the state was entered, Started when the last attempt began.
	Changed time.Time
	Started time.Time
	// Until is when a waiting or held job is due again; zero: only when woken.
	Until time.Time
	// Why says what a held or waiting job waits for, or why a released one went.
	Why string
	// Result is what the outcome was, once there is one.
	Result Result
	// Sent is when the report last left; zero: it never did. A report that was
	// sent and is not acknowledged is looked up before it is sent again.
	Sent time.Time
	// Parts counts the parts of the report that were acknowledged, in order.
	Parts int
	// Report is the sys_id of the (last) input message that was acknowledged.
	Report string
}

// Result sorts outcomes for counting and for the decision what a second look
// at the same message means.
type Result uint8

// The results.
const (
	NoResult Result = iota
	Succeeded
	Failed
	Denied
	Canceled
	Expired
	Unknown
)

// String returns the result's name as status, logs and JSON show it.
func (r Result) String() string {
	switch r {
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	case Denied:
		return "denied"
	case Canceled:
		return "canceled"
	case Expired:
		return "expired"
	case Unknown:
		return "unknown"
	default:
		return ""
	}
}

// Results returns all results that an outcome can have.
func Results() []Result { return []Result{Succeeded, Failed, Denied, Canceled, Expired, Unknown} }
