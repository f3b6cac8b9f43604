package queue

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Limits of what a store accepts. They keep keys and records small whatever an
// instance sends.
const (
	maxIDBytes = 512
	// MaxSequence is how many bytes of a sequence order jobs; the column of an
	// instance holds 40.
	MaxSequence = 128
)

// Check returns fault.Invalid for a job that no store takes: its id is not the
// one that NewID makes of instance, sys_id and run, or is longer than 512
// bytes.
func (j *Job) Check() error {
	if len(j.ID) > maxIDBytes {
		return fault.New(fault.Invalid, "put job", strconv.Quote(string(j.ID[:64]))+"...",
			fmt.Errorf("the id has %d bytes, at most %d are taken", len(j.ID), maxIDBytes)).
			WithHint("look at the sys_id of the record on the instance")
	}
	instance, sysID, run, err := j.ID.Split()
	if err != nil {
		return err
	}
	if instance != j.Instance || sysID != j.SysID || run != max(j.Run, 1) {
		return fault.New(fault.Invalid, "put job", string(j.ID), errors.New("the id is not that of instance, sys_id and run"))
	}
	return nil
}

// Apply returns the status that the transition leads to. It is the one place
// where a transition's meaning is written: every store calls it, inside its
// transaction. A move that the table or From does not admit gives ErrConflict;
// a move that contradicts itself (no result for Finished, a body for another
// state) gives fault.Invalid.
func (t *Transition) Apply(s Status) (Status, error) {
	if err := t.check(s.State); err != nil {
		return s, err
	}
	s.State, s.Changed = t.To, Normal(t.At)
	s.Until = time.Time{}
	if t.To != Delivered { // what the outcome was stays readable
		s.Why = t.Why
	}
	if t.ModCount > 0 {
		s.ModCount = t.ModCount
	}
	if t.Approved != "" {
		s.Approved = t.Approved
	}
	if t.Retry {
		s.Retries++
	}
	switch t.To {
	case Started:
		s.Started = s.Changed
		s.Attempt++
	case Held, Waiting:
		s.Until = Normal(t.Until)
	case Finished:
		s.Result = t.Result
	case Delivered:
		if t.Report != "" {
			s.Report = t.Report
		}
	default:
	}
	return s, nil
}

func (t *Transition) check(now State) error {
	if now != t.From || !t.From.CanBecome(t.To) {
		return fault.New(fault.Conflict, "advance job", string(t.Job),
			fmt.Errorf("%w: it is %s, not %s on the way to %s", ErrConflict, now, t.From, t.To)).
			WithHint("look at the job with `sallyport jobs show`")
	}
	var why string
	switch {
	case t.To == Finished && (t.Result == NoResult || t.Result > Unknown):
		why = "a finished job needs a result"
	case t.To != Finished && (t.Outcome != nil || t.Spool != nil):
		why = "only a finished job has an outcome"
	case t.Outcome != nil && t.Spool != nil:
		why = "an outcome is given or spooled, not both"
	case t.Retry && (t.From != Started || t.To != Waiting):
		why = "only an attempt that is put aside counts as a retry"
	default:
		return nil
	}
	return fault.New(fault.Invalid, "advance job", string(t.Job), errors.New(why))
}

// Apply returns the status with the mark's non-zero fields. Until changes
// waiting and held jobs only.
func (m *Mark) Apply(s Status) Status {
	if m.ModCount > 0 {
		s.ModCount = m.ModCount
	}
	if !m.Sent.IsZero() {
		s.Sent = Normal(m.Sent)
	}
	if m.Unsent {
		s.Sent = time.Time{}
	}
	if m.Parts > 0 {
		s.Parts = m.Parts
	}
	if m.Report != "" {
		s.Report = m.Report
	}
	if !m.Until.IsZero() && (s.State == Waiting || s.State == Held) {
		s.Until = Normal(m.Until)
	}
	if m.Why != "" {
		s.Why = m.Why
	}
	return s
}

// Normal returns the time as a store keeps it: UTC, without the monotonic clock.
func Normal(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
