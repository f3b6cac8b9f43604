package ecc

import (
	"io"
	"strconv"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// ErrorCode is the result_code of every failure: the only one besides 0 that
// results of MID Servers were seen with (KB0782247).
const ErrorCode = 900000

// ExitCode is the attribute of a <result> that holds the exit code of a
// program. It is our own: readers of the stock elements do not see it.
const ExitCode = "exit_code"

// Attribute is a name with a value: an attribute of an element, or a parameter
// that a result adds.
type Attribute struct{ Name, Value string }

// ResultElement is an element of a result. It holds, in this order, Text, what Open reads, and
// Children.
type ResultElement struct {
	// Name is made a valid one ([ElementName]) where it is none. An element
	// without a name is written without tags: its content alone.
	Name string
	// Attributes are written in order; of several with one name the first counts.
	Attributes []Attribute
	Text       string
	// Markup says that Text is XML to be put in as it is. What [WellFormed]
	// refuses is put in as text, so that it breaks nothing.
	Markup bool
	// Open opens a text that is too large for memory, as UTF-8. It is called
	// once each time the result is written. May be nil.
	Open     func() (io.ReadCloser, error)
	Children []ResultElement
}

// Result is what came of a job, in the envelope that all topics share:
//
//	<results probe_time="268" result_code="0">
//	  <result>…</result><parameters>…</parameters>
//	</results>
type Result struct {
	// ProbeTime is how long the job took; it is written in milliseconds.
	ProbeTime time.Duration
	// Code is the result_code; 0 stands for ErrorCode when Error is set.
	Code int
	// Error and Warn are written on <results> and on every <result> (KB0782247,
	// KB0787098).
	Error string
	Warn  string
	// Attributes are further ones of <results>.
	Attributes []Attribute
	// Items are the <result> elements; their name may be left empty. Without
	// any, one empty <result> is written.
	Items []ResultElement
	// Elements are written behind the results (httpHeaders of a RESTProbe).
	Elements []ResultElement
	// Added are parameters of the result itself (http_status_code). They stand
	// before the echo, so that readers that take the first find them.
	Added []Attribute
	// Echo is what the result repeats of its output; nil for a message that
	// nobody asked for.
	Echo *Echo
}

// OutputItem returns a <result> of the shape that most topics share: <output>
// and <error>. Powershell, SSHCommand, JavascriptProbe and others have it.
func OutputItem(output, errText string) ResultElement {
	return ResultElement{Children: []ResultElement{{Name: "output", Text: output}, {Name: "error", Text: errText}}}
}

// CommandItem returns a <result> of the topic Command. The exit code is an
// attribute of our own; see [ExitCode].
func CommandItem(command, stdout, stderr string, exitCode int) ResultElement {
	return ResultElement{
		Attributes: []Attribute{{Name: "command", Value: command}, {Name: ExitCode, Value: strconv.Itoa(exitCode)}},
		Children:   []ResultElement{{Name: "stdout", Text: stdout}, {Name: "stderr", Text: stderr}},
	}
}

// Append appends the XML of the result to dst. It fails only where an Open of
// its elements does.
func (r *Result) Append(dst []byte) ([]byte, error) {
	e := emitter{buf: dst}
	r.emit(&e)
	if e.err != nil {
		return dst, unwritten(e.err)
	}
	return e.buf, nil
}

// Marshal returns the XML of the result. It fails only where an Open of its
// elements does.
func (r *Result) Marshal() (string, error) {
	b, err := r.Append(make([]byte, 0, 2048))
	return string(b), err
}

// Write writes the XML of the result piece by piece, so that texts from Open
// are never in memory as a whole. After an error the output is incomplete.
func (r *Result) Write(w io.Writer) error {
	e := emitter{w: w, buf: make([]byte, 0, 2*flushSize)}
	r.emit(&e)
	e.drain(1)
	if e.err != nil {
		return unwritten(e.err)
	}
	return nil
}

func unwritten(cause error) error {
	kind := fault.KindOf(cause)
	return fault.New(kind, "write the result", "", cause).WithHint("see the agent's log for what became of the output's file")
}

func (r *Result) emit(e *emitter) {
	e.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<results")
	code := r.Code
	if r.Error != "" {
		e.attribute("error", r.Error)
		if code == 0 {
			code = ErrorCode
		}
	}
	if r.Warn != "" {
		e.attribute("warn", r.Warn)
	}
	e.raw(" probe_time=\"")
	e.buf = strconv.AppendInt(e.buf, max(0, r.ProbeTime.Milliseconds()), 10)
	e.raw("\" result_code=\"")
	e.buf = strconv.AppendInt(e.buf, int64(code), 10)
	e.raw("\"")
	e.attributes(r.Attributes, "error", "warn", "probe_time", "result_code")
	e.raw(">")
	if len(r.Items) == 0 {
		r.item(e, ResultElement{})
	}
	for _, item := range r.Items {
		r.item(e, item)
	}
	for i := range r.Elements {
		e.element(&r.Elements[i])
	}
	e.parameters(r.Added, r.Echo)
	e.raw("</results>")
}

// item writes one <result>.
func (r *Result) item(e *emitter, item ResultElement) {
	if item.Name == "" {
		item.Name = "result"
	}
	own := make([]Attribute, 0, 2+len(item.Attributes))
	if r.Error != "" {
		own = append(own, Attribute{"error", r.Error})
	}
	if r.Warn != "" {
		own = append(own, Attribute{"warn", r.Warn})
	}
	item.Attributes = append(own, item.Attributes...)
	e.element(&item)
}

// element writes an element with all it holds.
func (e *emitter) element(x *ResultElement) {
	name := ""
	if x.Name != "" {
		name = ElementName(x.Name)
		e.raw("<")
		e.raw(name)
		e.attributes(x.Attributes)
		if x.Text == "" && x.Open == nil && len(x.Children) == 0 {
			e.raw("/>")
			return
		}
		e.raw(">")
	}
	switch {
	case x.Markup && WellFormed(x.Text) == nil:
		e.raw(x.Text)
	default:
		e.text(x.Text)
	}
	if x.Open != nil {
		e.stream(x.Open)
	}
	for i := range x.Children {
		e.element(&x.Children[i])
	}
	if name != "" {
		e.raw("</")
		e.raw(name)
		e.raw(">")
	}
}

// attributes writes attributes, each name once and none of the taken ones.
func (e *emitter) attributes(list []Attribute, taken ...string) {
	for i, a := range list {
		name := ElementName(a.Name)
		free := true
		for _, t := range taken {
			free = free && t != name
		}
		for _, b := range list[:i] {
			free = free && ElementName(b.Name) != name
		}
		if free {
			e.attribute(name, a.Value)
		}
	}
}
