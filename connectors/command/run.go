package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// spec makes the runner's specification of a call.
func (s *session) spec(call *connectors.Call) (*runner.Spec, error) {
	spec := &runner.Spec{
		Job: call.Job, Attempt: max(call.Attempt, 1), Dir: s.dir, Env: s.env,
		Grace: s.grace, Timeout: s.timeout, Output: s.maxOutput, Account: call.Grant.RunAs,
	}
	spec.SetLimits(call.Grant.Limits)
	if !call.Deadline.IsZero() {
		// The runner keeps the time as well: an agent that is gone cannot.
		left := max(time.Until(call.Deadline), time.Millisecond)
		if spec.Timeout == 0 || left < spec.Timeout {
			spec.Timeout = left
		}
	}
	argv, ok, err := argvOf(call.Params)
	if err != nil {
		return nil, err
	}
	if !ok {
		text, err := textOf(call.Params)
		if err != nil {
			return nil, err
		}
		if call.Grant.Shell {
			spec.Shell = text
			return spec, nil
		}
		if argv, err = connectors.Words(text); err != nil {
			return nil, invalid(text, err, "Allow exactly this command by a rule with `shell = true`, or write it without a shell.")
		}
		if len(argv) == 0 || argv[0] == "" {
			return nil, invalid(text, errors.New("there is no program"), "Begin the command with a program.")
		}
	}
	spec.Program, spec.Args = argv[0], argv[1:]
	return spec, nil
}

// Run implements connectors.Session. A job that the runner knows already is
// waited for, not started again.
func (s *session) Run(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	spec, err := s.spec(call)
	if err != nil {
		return nil, err
	}
	status, err := s.runner.Run(ctx, spec)
	switch {
	case err == nil:
		return s.outcome(ctx, call, &status)
	case ctx.Err() == nil && fault.KindOf(err) == fault.Unknown:
		return s.doubt(ctx, call, err)
	case ctx.Err() == nil:
		return nil, err
	case errors.Is(context.Cause(ctx), connectors.ErrStopping):
		// It goes on without the agent; Recover finds it again.
		return nil, fault.New(fault.Canceled, "wait for command", call.Job, context.Cause(ctx)).
			WithHint("It goes on in the runner; the agent takes its result when it is back.")
	}
	return s.end(ctx, call)
}

// doubt asks the runner that came back what it made of a start.
func (s *session) doubt(ctx context.Context, call *connectors.Call, why error) (*connectors.Outcome, error) {
	status, err := s.runner.Lookup(ctx, call.Job, max(call.Attempt, 1))
	if err != nil {
		return nil, why
	}
	switch status.State {
	case runner.Fenced:
		return nil, fault.New(fault.Unavailable, "run command", call.Job, why).
			WithHint("Nothing was started; it is tried again.")
	case runner.Running:
		if status, err = s.runner.Wait(ctx, call.Job); err != nil {
			return nil, err
		}
	default:
	}
	return s.outcome(ctx, call, &status)
}

const endMargin = 10 * time.Second

// end ends a running command, because its time is up or somebody canceled it,
// and takes what it wrote until then.
func (s *session) end(ctx context.Context, call *connectors.Call) (*connectors.Outcome, error) {
	cause := context.Cause(ctx)
	grace := s.grace
	if grace == 0 {
		grace = s.runner.Grace()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace+endMargin)
	defer cancel()
	// Whatever was under way to the runner must not start after this.
	status, err := s.runner.Lookup(ctx, call.Job, max(call.Attempt, 1))
	if err == nil && status.State == runner.Running {
		if err = s.runner.Cancel(ctx, call.Job, grace); err == nil {
			status, err = s.runner.Wait(ctx, call.Job)
		}
	}
	switch {
	case err != nil:
		return nil, fault.New(fault.Unknown, "end command", call.Job, errors.Join(cause, err)).
			WithHint("Check on the agent's host whether it still runs.")
	case status.State == runner.Fenced:
		return nil, fault.New(fault.Canceled, "run command", call.Job, cause).WithHint("It had not started; send it again.")
	case status.State == runner.Exited && status.Result.Cause == runner.ByItself:
		// It was faster than its end.
	case status.State == runner.Exited && fault.KindOf(cause) != fault.Timeout:
		return nil, fault.New(fault.Canceled, "run command", call.Job, cause).
			WithHint("It was ended with all its processes; check what it had done before.")
	}
	return s.outcome(ctx, call, &status)
}

// Recover implements connectors.Recoverer: the runner knows what became of the
// attempt, unless it died itself.
func (s *session) Recover(ctx context.Context, call *connectors.Call) (connectors.Found, *connectors.Outcome, error) {
	status, err := s.runner.Lookup(ctx, call.Job, max(call.Attempt, 1))
	if err != nil {
		return connectors.FoundAmbiguous, nil, err
	}
	switch status.State {
	case runner.Fenced:
		return connectors.FoundNone, nil, nil
	case runner.Running:
		return connectors.FoundRunning, nil, nil
	case runner.Exited:
		out, err := s.outcome(ctx, call, &status)
		if err != nil {
			return connectors.FoundAmbiguous, nil, err
		}
		return connectors.FoundDone, out, nil
	default:
		return connectors.FoundAmbiguous, nil, nil
	}
}

// failure describes an end that is not the command's own, nil for its own.
func failure(r *runner.Result, text string) *connectors.Failure {
	took := r.Ended.Sub(r.Started).Round(time.Millisecond)
	var message string
	switch r.Cause {
	case runner.ByItself:
		return nil
	case runner.TimedOut:
		message = fmt.Sprintf("command %s: not done within %v; it was ended with all its processes", quote(text), took)
	case runner.Canceled:
		message = fmt.Sprintf("command %s: ended after %v, as its time was up", quote(text), took)
	case runner.Stopped:
		message = fmt.Sprintf("command %s: ended after %v because the runner was stopped", quote(text), took)
	case runner.OutOfMemory:
		message = fmt.Sprintf("command %s: killed for its memory limit; raise the rule's limit", quote(text))
	case runner.NotStarted:
		message = notStarted(r, text)
	default:
		message = fmt.Sprintf("command %s: %s", quote(text), r.Cause)
	}
	return &connectors.Failure{Message: message}
}

func notStarted(r *runner.Result, text string) string {
	switch r.StartFailure {
	case runner.NotFound:
		return fmt.Sprintf("command %s: program not found; give its whole path, or add its folder to the connector's path", quote(text))
	case runner.Permission:
		return fmt.Sprintf("command %s: permission denied; the runner's account must be able to execute it", quote(text))
	default:
		return fmt.Sprintf("command %s: not started: %s", quote(text), r.StartError)
	}
}

// quote shortens a command for one line of a message.
func quote(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most] + "…"
	}
	return fmt.Sprintf("%q", text)
}
