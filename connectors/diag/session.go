package diag

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

type session struct{ file string }

// Probe implements connectors.Session: there is nothing to reach.
func (s *session) Probe(context.Context) error { return nil }

// Close implements connectors.Session.
func (s *session) Close() error { return nil }

// Run implements connectors.Session.
func (s *session) Run(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	switch call.Action {
	case actionEcho:
		return answer(map[string]any{"text": call.Params.String("text")})
	case actionSleep:
		if err := sleep(ctx, call); err != nil {
			return nil, err
		}
		return answer(map[string]any{"slept": true})
	case actionFail:
		return fail(call)
	case actionWait:
		return wait(ctx, call)
	case actionAppend:
		if s.file == "" {
			return nil, fault.New(fault.Denied, actionAppend, call.Job, errors.New("the settings name no file")).
				WithHint("Set file in the settings of the connector diag.")
		}
		if err := sleep(ctx, call); err != nil {
			return nil, err
		}
		if err := s.append(call.Job); err != nil {
			return nil, err
		}
		return answer(map[string]any{"appended": call.Job})
	default:
		return nil, fault.New(fault.Invalid, "run", call.Action, errors.New("diag has no such action")).
			WithHint("See `sallyport connectors show diag`.")
	}
}

func answer(v any) (*connectors.Outcome, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &connectors.Outcome{JSON: body}, nil
}

const maxSeconds = 86400

// seconds reads a time; missing is zero.
func seconds(call *connectors.Call) (time.Duration, error) {
	text := strings.TrimSpace(call.Params.String("seconds"))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= maxSeconds) {
		return 0, invalid(call, "seconds", "Give a number from 0 to 86400.")
	}
	return time.Duration(n * float64(time.Second)), nil
}

func invalid(call *connectors.Call, name, hint string) error {
	return fault.New(fault.Invalid, call.Action, name, errors.New("the parameter has a value that is not allowed")).WithHint(hint)
}

func sleep(ctx context.Context, call *connectors.Call) error {
	d, err := seconds(call)
	if err != nil || d == 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		kind := fault.Canceled
		if cause := fault.KindOf(context.Cause(ctx)); cause == fault.Timeout {
			kind = fault.Timeout
		}
		return fault.New(kind, call.Action, call.Job, context.Cause(ctx)).WithHint("Nothing was changed; it can run again.")
	}
}

func fail(call *connectors.Call) (*connectors.Outcome, error) {
	message := call.Params.String("message")
	if message == "" {
		message = "failed as it was told"
	}
	kind := call.Params.String("kind")
	if kind == "" || kind == "outcome" {
		return &connectors.Outcome{Failure: &connectors.Failure{Message: message}}, nil
	}
	k := fault.ParseKind(kind)
	if k.String() != kind {
		return nil, invalid(call, "kind", "Give outcome or the name of an error kind.")
	}
	return nil, fault.New(k, call.Action, call.Job, errors.New(message)).WithHint("This is a trial; nothing needs to be done.")
}

// wait counts in the job's durable state how often it waited.
func wait(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	times := 1
	if text := strings.TrimSpace(call.Params.String("times")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 1000 {
			return nil, invalid(call, "times", "Give a number from 0 to 1000.")
		}
		times = n
	}
	d, err := seconds(call)
	if err != nil {
		return nil, err
	}
	waited := 0
	if state := call.Host.State(); state != nil {
		if waited, err = strconv.Atoi(string(state)); err != nil {
			return nil, fault.New(fault.Internal, call.Action, call.Job, err).WithHint("Report this with the agent's log.")
		}
	}
	if waited >= times {
		return answer(map[string]any{"waited": waited})
	}
	waited++
	if err := call.Host.Save(ctx, []byte(strconv.Itoa(waited))); err != nil {
		return nil, err
	}
	call.Host.Progress(100*waited/(times+1), "waiting")
	return &connectors.Outcome{Wait: &connectors.Wait{
		Until: time.Now().Add(d), Why: "diag.wait, " + strconv.Itoa(waited) + " of " + strconv.Itoa(times),
	}}, nil
}

// append adds one line in a single write, so that lines of several jobs never
// mix, and syncs it: the effect is as durable as the agent's knowledge of it.
func (s *session) append(job string) error {
	unsure := func(err error) error {
		return fault.New(fault.Unknown, actionAppend, s.file, err).WithHint("Look for the job's id in the file.")
	}
	if strings.ContainsAny(job, "\r\n") {
		return fault.New(fault.Invalid, actionAppend, s.file, errors.New("the job's id has a line break")).
			WithHint("Report this: no instance gives such an id.")
	}
	f, err := os.OpenFile(s.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.New(fault.Unavailable, actionAppend, s.file, err).WithHint("See that the file's folder exists and is writable.")
	}
	if _, err := f.WriteString(job + "\n"); err != nil {
		return unsure(errors.Join(err, f.Close()))
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return unsure(err)
	}
	return nil
}
