package ecc

import "time"

// The values of the column queue, from the instance's point of view (KB0855595).
const (
	QueueOutput = "output" // work for an agent
	QueueInput  = "input"  // what an agent reports
)

// The values of the column state (KB0855595); StateCancelled only occurs in
// claims (KB0727132).
const (
	StateReady      = "ready"
	StateProcessing = "processing"
	StateProcessed  = "processed"
	StateError      = "error"
	StateCancelled  = "cancelled"
)

// The values of the column priority (KB0743566).
const (
	PriorityInteractive = 0
	PriorityExpedited   = 1
	PriorityStandard    = 2
)

// Message is one record of the table ecc_queue. Text is as the instance sent
// it: nothing of it was checked but what [FromRecord] says.
type Message struct {
	SysID    string
	Agent    string // who runs it: "mid.server.NAME"
	Topic    string
	Name     string
	Source   string
	Queue    string
	State    string
	Priority int    // 0 interactive, 1 expedited, 2 standard
	Sequence string // sorts messages of equal priority
	Payload  string
	// ResponseTo is, on an input, the sys_id of its output.
	ResponseTo string
	// AgentCorrelator ties results to what asked for them (KB0727132).
	AgentCorrelator string
	FromHost        string
	FromSysID       string
	ErrorString     string
	Processed       string
	Signature       string
	Created         time.Time // sys_created_on, UTC; zero when unknown
	CreatedBy       string
	Updated         time.Time // sys_updated_on, UTC; zero when unknown
	UpdatedBy       string
	ModCount        int64 // sys_mod_count
	Domain          string
	DomainPath      string
	// Extra holds the columns that this version does not know; nil when there
	// are none.
	Extra map[string]string
}

// Input returns the message that reports payload as the result of an output. It
// repeats the output's topic, name, source, agent, correlator and priority, and
// refers to the output. It is ready, because sensors look for nothing else
// (KB0694711).
func Input(output Message, payload string) Message {
	return Message{
		Agent: output.Agent, Topic: output.Topic, Name: output.Name, Source: output.Source,
		AgentCorrelator: output.AgentCorrelator, Priority: output.Priority,
		ResponseTo: output.SysID, Queue: QueueInput, State: StateReady, Payload: payload,
	}
}
