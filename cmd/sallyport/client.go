package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// config loads the configuration.
func (a *app) config() (*config.Config, error) {
	c, err := config.Load(a.configPath, config.Overrides{})
	return c, configError(err)
}

// address returns where the running agent listens. Who may talk to the agent need
// not be able to read its configuration: without --config, the usual place is
// tried then.
func (a *app) address() (string, error) {
	if a.control != "" {
		return a.control, nil
	}
	c, err := a.config()
	switch {
	case err == nil:
		return c.Control.Socket, nil
	case a.configPath == "" && (fault.KindOf(err) == fault.Denied || errors.Is(err, fs.ErrNotExist)):
		return config.DefaultSocket(), nil
	default:
		return "", err
	}
}

// dial connects to the running agent. The caller closes the client.
func (a *app) dial(ctx context.Context) (*control.Client, error) {
	path, err := a.address()
	if err != nil {
		return nil, err
	}
	return control.Dial(ctx, path)
}
