package connectors

import (
	"encoding/json"
	"io"
	"time"
)

// Outcome is what an attempt ended with: output, a failure that the target
// itself reported, or a wait. Exactly one of Failure and Wait may be set.
type Outcome struct {
	// Items are the <result> elements of the report, in order.
	Items []Item
	// Params are added to the parameters that the report echoes
	// (http_status_code).
	Params []Field
	// JSON is the output of a native action, by the action's published schema;
	// it becomes the text of the one <output> element.
	JSON json.RawMessage
	// Warn is shown beside a success.
	Warn string
	// Failure is set when the target refused or failed: the outcome is definite.
	Failure *Failure
	// Wait is set when there is no outcome yet: the job is put aside without a
	// worker and without a lease, and Run is called again when it is due.
	Wait *Wait
	// Journaled, when set, is called once after the outcome is durable: what it
	// was made from (files of the runner) may go.
	Journaled func()
}

// Failure is a definite failure.
type Failure struct {
	Message string // one line for the report's error attribute
	Code    int    // the report's result_code; 0 stands for 900000
}

// Wait asks to be called again.
type Wait struct {
	Until time.Time
	Why   string // for status: what is waited for
}

// Item is one <result> element.
type Item struct {
	Attributes []Field
	Fields     []Text
}

// Field is a name and a short value.
type Field struct{ Name, Value string }

// Text is one child element of a <result>: its text is Value, or what Blob
// holds where it is too large for memory.
type Text struct {
	Name  string
	Value string
	Blob  Blob
	// XML says that the text is well-formed XML to be put in as it is.
	XML bool
}

// Blob is a large body. It stays readable until Outcome.Journaled is called.
type Blob interface {
	Size() int64
	// Open returns a reader from the start; the bytes are UTF-8 text.
	Open() (io.ReadCloser, error)
}
