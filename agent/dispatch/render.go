package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/queue"
)

// spoolFrom is the size of an outcome's texts, in bytes, from which its report
// is written piece by piece and never held in memory.
const spoolFrom = 1 << 20

// resultParam is a parameter of ours that every report adds: what the outcome
// was, in the queue's words. Stock readers do not look for it.
const resultParam = "sallyport_result"

// rendered is a report that is ready to be written, as often as it must.
type rendered struct {
	header report.Header
	result ecc.Result
	size   int64 // of the texts
	redact func(string) string
}

// fromEnding makes the report of a job that no connector ended: the error form
// of the envelope.
func (d *Dispatcher) fromEnding(p *plan, result queue.Result, text string) rendered {
	r := d.envelope(p, result)
	r.result.Error = text
	return r
}

// fromOutcome makes the report of what a connector returned.
func (d *Dispatcher) fromOutcome(p *plan, result queue.Result, out *connectors.Outcome) rendered {
	r := d.envelope(p, result)
	if out.Failure != nil {
		r.result.Error, r.result.Code = out.Failure.Message, out.Failure.Code
	}
	r.result.Warn = out.Warn
	for _, f := range out.Params {
		r.result.Added = append(r.result.Added, ecc.Attribute{Name: f.Name, Value: f.Value})
	}
	if out.JSON != nil {
		r.result.Items = append(r.result.Items, ecc.NativeItem(out.JSON))
		r.size += int64(len(out.JSON))
	}
	for _, item := range out.Items {
		x := ecc.ResultElement{}
		for _, a := range item.Attributes {
			x.Attributes = append(x.Attributes, ecc.Attribute{Name: a.Name, Value: a.Value})
		}
		for _, t := range item.Fields {
			x.Children = append(x.Children, text(t, p.scope.reader))
			r.size += int64(len(t.Value))
			if t.Blob != nil {
				r.size += t.Blob.Size()
			}
		}
		r.result.Items = append(r.result.Items, x)
	}
	return r
}

func text(t connectors.Text, redact func(io.Reader) io.Reader) ecc.ResultElement {
	x := ecc.ResultElement{Name: t.Name, Text: t.Value, Markup: t.XML}
	if t.Blob == nil {
		return x
	}
	x.Open = func() (io.ReadCloser, error) {
		body, err := t.Blob.Open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{redact(body), body}, nil
	}
	return x
}

// envelope is what all reports of a job share.
func (d *Dispatcher) envelope(p *plan, result queue.Result) rendered {
	var took time.Duration
	if !p.job.Status.Started.IsZero() && p.job.Status.State == queue.Started {
		took = d.Now().Sub(p.job.Status.Started)
	}
	in := ecc.Input(p.message, "")
	return rendered{
		header: report.Header{
			Agent: in.Agent, Topic: in.Topic, Name: in.Name, Source: in.Source,
			Correlator: in.AgentCorrelator, Priority: in.Priority,
		},
		result: ecc.Result{
			ProbeTime: took,
			Added:     []ecc.Attribute{{Name: resultParam, Value: result.String()}},
			Echo:      &ecc.Echo{Message: p.message, Payload: p.payload, Secrets: p.served.Action.Secrets},
		},
		redact: p.scope.redact,
	}
}

// large reports whether the report is too large for memory.
func (r *rendered) large() bool { return r.size >= spoolFrom }

// encode returns the whole report.
func (r *rendered) encode() ([]byte, error) {
	payload, err := r.result.Marshal()
	if err != nil {
		return nil, err
	}
	return report.Encode(r.header, r.redact(payload))
}

// writeTo writes the report piece by piece. Its envelope without the output
// goes along, for the case that the whole is too large for a field.
func (r *rendered) writeTo(w io.Writer) error {
	slim := r.result
	slim.Items = []ecc.ResultElement{{Attributes: []ecc.Attribute{
		{Name: "attachment_sys_id", Value: report.AttachmentMark},
		{Name: "output_bytes", Value: strconv.FormatInt(r.size, 10)},
	}}}
	envelope, err := slim.Marshal()
	if err != nil {
		return err
	}
	header := r.header
	header.Slim = r.redact(envelope)
	out := report.NewWriter(w)
	if err := out.Part(header); err != nil {
		return err
	}
	if err := r.redactTexts().Write(out); err != nil {
		return err
	}
	return out.Close()
}

// redactTexts returns the result with the texts that are in memory redacted;
// those that are read piece by piece are redacted as they are read.
func (r *rendered) redactTexts() *ecc.Result {
	result := r.result
	result.Error, result.Warn = r.redact(result.Error), r.redact(result.Warn)
	result.Items = redactElements(result.Items, r.redact)
	return &result
}

func redactElements(list []ecc.ResultElement, redact func(string) string) []ecc.ResultElement {
	out := make([]ecc.ResultElement, len(list))
	for i, x := range list {
		x.Text = redact(x.Text)
		attributes := make([]ecc.Attribute, len(x.Attributes))
		for k, a := range x.Attributes {
			attributes[k] = ecc.Attribute{Name: a.Name, Value: redact(a.Value)}
		}
		x.Attributes = attributes
		x.Children = redactElements(x.Children, redact)
		out[i] = x
	}
	return out
}

// repeated is the report of an earlier run, for a run that only reports it
// again; where its text is not kept any more, a report that says so.
func (d *Dispatcher) repeated(ctx context.Context, p *plan) (queue.Transition, error) {
	earlier, err := d.Queue.Get(ctx, p.job.Repeats)
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		return queue.Transition{}, err
	}
	st := earlier.Status
	move := queue.Transition{Result: st.Result, Why: "the outcome of " + string(p.job.Repeats) + ", reported again"}
	if move.Result == queue.NoResult {
		move.Result = queue.Unknown
	}
	if move.Outcome, err = d.body(ctx, p.job.Repeats, queue.Outcome); err == nil {
		return move, nil
	}
	r := d.fromEnding(p, move.Result, fmt.Sprintf("not run again: it %s on %s, and the report went out as %s; its text is no longer kept here",
		move.Result, st.Changed.Format(time.RFC3339), st.Report))
	move.Outcome, err = r.encode()
	return move, err
}
