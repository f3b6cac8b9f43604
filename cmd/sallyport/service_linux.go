package main

import (
	"context"
	"errors"
	"os"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

func administrator() bool { return os.Geteuid() == 0 }

// runService is for Windows; systemd starts the commands themselves.
func (a *app) runService(context.Context, []string) error {
	return fault.New(fault.Invalid, "run as a service", "", errors.New("this is for the service manager of Windows")).
		WithHint("use `sallyport run`")
}
