package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

func administrator() bool { return windows.GetCurrentProcessToken().IsElevated() }

// stopHint is how long a stop may take between two signs of life, in
// milliseconds.
const stopHint = 10_000

// runService tells the service manager what happens while a command line of
// this program runs.
func (a *app) runService(ctx context.Context, args []string) error {
	name := agentService
	if len(args) > 0 && args[0] == "runner" {
		name = runnerService
	}
	h := &handler{run: func(ctx context.Context) int { return a.execute(ctx, args) }, ctx: ctx}
	if err := svc.Run(name, h); err != nil {
		return fault.New(fault.Unavailable, "run as service", name, err).
			WithHint("only the service manager can start this; use `sallyport service start`")
	}
	if h.code != codeOK {
		return &grade{code: h.code}
	}
	return nil
}

// handler is the service towards the service manager.
type handler struct {
	run  func(context.Context) int
	ctx  context.Context //nolint:containedctx // svc.Handler has no place for it
	code int
}

// Execute runs until the work ends or the service manager asks for the end.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	ctx, stop := context.WithCancelCause(h.ctx)
	defer stop(nil)
	done := make(chan int, 1)
	go func() { done <- h.run(ctx) }()
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	changes <- running
	stopping := svc.Status{State: svc.StopPending, WaitHint: stopHint}
	tick := time.NewTicker(stopHint / 4 * time.Millisecond)
	defer tick.Stop()
	pending := false
	for {
		select {
		case h.code = <-done:
			if pending {
				h.code = codeOK // it was asked to end
			}
			changes <- svc.Status{State: svc.StopPending}
			return h.code != codeOK, uint32(h.code)
		case <-tick.C:
			if pending {
				stopping.CheckPoint++
				changes <- stopping
			}
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				pending = true
				changes <- stopping
				stop(errors.New("the service manager asked for the end"))
			default: // nothing else was accepted
			}
		}
	}
}
