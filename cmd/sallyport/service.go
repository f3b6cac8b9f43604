package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The names of the services. A runner that is installed runs jobs under an
// account of its own and outlives the agent.
const (
	agentService  = "sallyport"
	runnerService = "sallyport-runner"
)

// unit is the systemd unit of both services. KillMode=process leaves a forked
// runner alone when the agent ends, so that running jobs go on; the runner ends
// by itself when it has nothing to do. A configuration that is invalid (exit
// code 3) does not become valid by starting again.
const unit = `[Unit]
Description={{Description}}
Wants=network-online.target
After=network-online.target
{{range Dependencies}}{{.}}
{{end}}
[Service]
Type=exec
ExecStart={{Path | cmdEscape}}{{range Arguments}} {{. | cmd}}{{end}}
{{if UserName}}User={{UserName}}
{{end}}StateDirectory=sallyport
StateDirectoryMode=0700
RuntimeDirectory=sallyport
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
UMask=0077
Restart=always
RestartSec=2
RestartPreventExitStatus=2 3
KillMode=process
TimeoutStopSec=30
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
`

// serviceState is what the service manager says.
type serviceState struct {
	Service string `json:"service"`
	State   string `json:"state"` // "running", "stopped", "failed", "not installed"
	Manager string `json:"manager"`
}

func (a *app) serviceCommand() *cobra.Command {
	var ofRunner bool
	var account string
	g := group("service", "Install the agent as a service of the system, and steer it")
	for _, verb := range []struct{ name, short, done string }{
		{"install", "Install the service; it starts with the system", "installed"},
		{"uninstall", "Stop and remove the service; state and configuration stay", "uninstalled"},
		{"start", "Start the service", "started"},
		{"stop", "Stop the service", "stopped"},
		{"restart", "Restart the service", "restarted"},
	} {
		c := &cobra.Command{Use: verb.name, Short: verb.short}
		if verb.name == "install" {
			c.Flags().StringVar(&account, "user", "", "`ACCOUNT` that it runs as; the runner's must be the agent's (default: sallyport on Linux, LocalSystem on Windows)")
		}
		g.AddCommand(leaf(a, c, func(context.Context, []string) (done, error) {
			s, name, err := a.service(ofRunner, account)
			if err != nil {
				return done{}, err
			}
			if verb.name == "install" {
				if err := a.readyToInstall(account); err != nil {
					return done{}, err
				}
			}
			return done{Done: verb.done, Job: ""}, serviceError(verb.name, name, steer(s, verb.name))
		}, a.showDone))
	}
	status := &cobra.Command{Use: "status", Short: "Show whether the service runs"}
	g.AddCommand(leaf(a, status, func(context.Context, []string) (serviceState, error) {
		s, name, err := a.service(ofRunner, account)
		if err != nil {
			return serviceState{}, err
		}
		return stateOf(s, name)
	}, func(w io.Writer, s serviceState) error {
		_, err := fmt.Fprintf(w, "%s: %s (%s)\n", s.Service, s.State, s.Manager)
		return err
	}))
	g.PersistentFlags().BoolVar(&ofRunner, "runner", false, "the service of the runner instead of the agent's")
	return g
}

// steer is the library's, without its wording.
func steer(s service.Service, verb string) error {
	switch verb {
	case "install":
		return s.Install()
	case "uninstall":
		if state, err := s.Status(); err == nil && state == service.StatusRunning {
			if err := s.Stop(); err != nil {
				return err
			}
		}
		return s.Uninstall()
	case "start":
		return s.Start()
	case "stop":
		return s.Stop()
	default:
		return s.Restart()
	}
}

func stateOf(s service.Service, name string) (serviceState, error) {
	v := serviceState{Service: name, Manager: s.Platform()}
	state, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		v.State = "not installed"
	case err != nil && strings.Contains(err.Error(), "failed state"): // the library has no value for it
		v.State = "failed"
	case err != nil:
		return v, serviceError("ask about", name, err)
	case state == service.StatusRunning:
		v.State = "running"
		return v, nil
	default:
		v.State = "stopped"
	}
	return v, &grade{code: codeUnhealthy}
}

// service describes one of the two services to the system's manager.
func (a *app) service(ofRunner bool, account string) (service.Service, string, error) {
	c, err := serviceConfig(runtime.GOOS, ofRunner, account, a.configPath)
	if err != nil {
		return nil, c.Name, err
	}
	s, err := service.New(nothing{}, c)
	if err == nil && runtime.GOOS == "linux" && s.Platform() != "linux-systemd" {
		err = errors.New("the service manager here is " + s.Platform())
	}
	if err != nil {
		return nil, c.Name, fault.New(fault.Unavailable, "use the service manager for", c.Name, err).
			WithHint("on a system without systemd, let its own supervisor start `sallyport " + strings.Join(c.Arguments, " ") + "`")
	}
	return s, c.Name, nil
}

func serviceConfig(goos string, ofRunner bool, account, path string) (*service.Config, error) {
	c := &service.Config{
		Name: agentService, DisplayName: "Sallyport agent",
		Description: "Sallyport: the agent between ServiceNow and the systems here",
		UserName:    account,
		Option: service.KeyValue{
			"SystemdScript": unit,
			"OnFailure":     "restart", "OnFailureDelayDuration": "2s", "OnFailureResetPeriod": 3600,
		},
	}
	verb := "run"
	if ofRunner {
		c.Name, c.DisplayName, verb = runnerService, "Sallyport runner", "runner"
		c.Description = "Sallyport: starts and supervises the processes of jobs"
	}
	if c.UserName == "" && goos == "linux" {
		c.UserName = agentService
	}
	if path == "" {
		path = config.DefaultPath()
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return c, fault.New(fault.Invalid, "find", path, err).WithHint("give an absolute path with --config")
	}
	c.Arguments = []string{verb, "--config", path}
	if goos == "windows" {
		// What the service manager starts says so itself: asking the system
		// whether it did is not answered rightly in every session.
		c.Arguments = append([]string{serviceRun}, c.Arguments...)
	}
	return c, nil
}

// nothing is what the library would run; this program runs by itself.
type nothing struct{}

func (nothing) Start(service.Service) error { return nil }
func (nothing) Stop(service.Service) error  { return nil }

// readyToInstall refuses to install what could not start.
func (a *app) readyToInstall(account string) error {
	if runtime.GOOS == "linux" {
		if account == "" {
			account = agentService
		}
		if _, err := user.Lookup(account); err != nil {
			return fault.New(fault.Invalid, "install service as", account, errors.New("there is no such account")).
				WithHint("create it with `useradd --system --shell /usr/sbin/nologin " + account + "`, or name one with --user")
		}
	}
	_, err := a.config()
	return err
}

func serviceError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	e := fault.New(fault.Unavailable, verb+" service", name, err).WithHint("look at the system's log of the service")
	text := err.Error()
	switch {
	case !administrator() || errors.Is(err, os.ErrPermission):
		e.Kind, e.Hint = fault.Denied, "run the command as an administrator: with sudo, or from an elevated prompt"
	case errors.Is(err, service.ErrNotInstalled):
		e.Kind, e.Hint = fault.Conflict, "install it first: `sallyport service install`"
	case strings.Contains(text, "already exists"):
		e.Kind, e.Hint = fault.Conflict, "it is installed already; `sallyport service uninstall` removes it"
	}
	return e
}
