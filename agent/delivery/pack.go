package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/report"
	"github.com/sallyport-agent/sallyport/queue"
)

// pack reads the next part of a job's report and makes its message. A payload
// that is too large goes ahead as an attachment of the output.
func (d *Delivery) pack(ctx context.Context, job queue.Job) (*parcel, error) {
	body, err := d.Queue.Open(ctx, job.ID, queue.Outcome)
	if err != nil {
		return nil, fmt.Errorf("read the report of %s: %w", job.ID, err)
	}
	defer func() { _ = body.Close() }() // it was only read
	r := report.NewReader(body)
	h, err := skip(r, job.Status.Parts)
	if err != nil {
		return nil, fmt.Errorf("read the report of %s: %w", job.ID, err)
	}
	var payload strings.Builder
	size, err := io.Copy(&payload, io.LimitReader(r, d.MostInline+1))
	if err != nil {
		return nil, fmt.Errorf("read the report of %s: %w", job.ID, err)
	}
	p := &parcel{job: job, size: size, parts: job.Status.Parts + 1}
	text := payload.String()
	if size > d.MostInline && h.Slim != "" {
		rest, err := io.Copy(io.Discard, r)
		if err != nil {
			return nil, fmt.Errorf("read the report of %s: %w", job.ID, err)
		}
		payload.Reset()
		if text, err = d.attach(ctx, job, h, size+rest); err != nil {
			return nil, err
		}
		p.size = int64(len(text))
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, fmt.Errorf("read the report of %s: %w", job.ID, err)
		}
		p.parts++ // at least one more
	}
	p.message = ecc.Message{
		Agent: h.Agent, Topic: h.Topic, Name: h.Name, Source: h.Source, AgentCorrelator: h.Correlator,
		Priority: h.Priority, Queue: ecc.QueueInput, State: ecc.StateReady, ResponseTo: job.SysID, Payload: text,
	}
	return p, nil
}

// lost makes the message for a job whose report cannot be read any more.
func (d *Delivery) lost(job queue.Job) (*parcel, error) {
	result := ecc.Result{
		Error: fmt.Sprintf("outcome unknown: it %s here, and the record of its report is broken. Check by hand what it did", job.Status.Result),
		Echo: &ecc.Echo{Message: ecc.Message{
			SysID: job.SysID, Agent: job.Agent, Topic: job.Topic, Name: job.Name, Source: job.Source,
			AgentCorrelator: job.Correlator, Priority: job.Priority, Sequence: job.Sequence,
		}},
	}
	payload, err := result.Marshal()
	if err != nil {
		return nil, err
	}
	return &parcel{job: job, parts: job.Status.Parts + 1, size: int64(len(payload)), message: ecc.Message{
		Agent: job.Agent, Topic: job.Topic, Name: job.Name, Source: job.Source, AgentCorrelator: job.Correlator,
		Priority: job.Priority, Queue: ecc.QueueInput, State: ecc.StateReady, ResponseTo: job.SysID, Payload: payload,
	}}, nil
}

// skip returns the header behind a number of parts.
func skip(r *report.Reader, parts int) (report.Header, error) {
	for range parts {
		if _, err := r.Next(); err != nil {
			return report.Header{}, err
		}
	}
	h, err := r.Next()
	if errors.Is(err, io.EOF) {
		return h, fault.New(fault.Internal, "find the next part", "", fmt.Errorf("the report has only %d", parts))
	}
	return h, err
}

// attach stores the payload as an attachment of the output and returns the
// envelope that names it.
func (d *Delivery) attach(ctx context.Context, job queue.Job, h report.Header, size int64) (string, error) {
	name := fmt.Sprintf("sallyport-result-%d-%d.xml", job.Run, job.Status.Parts+1)
	id, err := d.Remote.Attach(ctx, job.SysID, name, size, func() (io.ReadCloser, error) {
		body, err := d.Queue.Open(ctx, job.ID, queue.Outcome)
		if err != nil {
			return nil, err
		}
		r := report.NewReader(body)
		if _, err := skip(r, job.Status.Parts); err != nil {
			return nil, errors.Join(err, body.Close())
		}
		return struct {
			io.Reader
			io.Closer
		}{r, body}, nil
	})
	if err != nil {
		return "", fmt.Errorf("attach the result of %s: %w", job.ID, err)
	}
	return strings.ReplaceAll(h.Slim, report.AttachmentMark, id), nil
}
