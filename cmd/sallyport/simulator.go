package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// simulated is where a simulated instance is and how to log in.
type simulated struct {
	URL    string  `json:"url"` // also of its page, for a browser
	Users  []login `json:"users"`
	CAFile string  `json:"ca_file,omitempty"`
}

type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
	For      string `json:"for"`
}

// simulation is the flags of the command.
type simulation struct {
	listen, faults, caFile string
	tls                    bool
	heartbeat              time.Duration
	seed                   uint64
}

func (a *app) simulatorCommand() *cobra.Command {
	var s simulation
	c := &cobra.Command{
		Use: "simulator", Short: "Run a simulated ServiceNow instance, for trials and tests",
		Long: "Run a simulated ServiceNow instance until interrupted. Its users and passwords are\n" +
			"public, so it listens on this machine alone. With --output json the one document is\n" +
			"written as soon as it answers.",
		Args: cobra.NoArgs, Annotations: map[string]string{hasSchema: "yes"},
	}
	c.Flags().StringVar(&s.listen, "listen", "127.0.0.1:8443", "`ADDRESS` and port on this machine; port 0 takes a free one")
	c.Flags().BoolVar(&s.tls, "tls", false, "speak TLS with a certificate made for the occasion")
	c.Flags().StringVar(&s.caFile, "ca-file", "", "with --tls: write the certificate to `FILE`, for tls.ca_files of an agent")
	c.Flags().StringVar(&s.faults, "faults", "", "`FILE` with faults (JSON list)")
	c.Flags().DurationVar(&s.heartbeat, "heartbeat", 5*time.Minute, "how often agents are asked for a sign of life; 0: never")
	c.Flags().Uint64Var(&s.seed, "seed", 1, "makes sys_ids and the choices of faults repeatable")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if a.output == formSchema {
			return a.writeSchema(schemaOf[simulated](c.CommandPath()))
		}
		return a.simulate(c.Context(), s)
	}
	return c
}

func (a *app) simulate(ctx context.Context, s simulation) error {
	if err := onlyHere(s.listen); err != nil {
		return err
	}
	in, err := simulator.New(simulator.Options{Seed: s.seed, HeartbeatEvery: s.heartbeat})
	if err != nil {
		return err
	}
	defer in.Close()
	if s.faults != "" {
		if err := loadFaults(in, s.faults); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fault.New(fault.Conflict, "listen on", s.listen, err).WithHint("choose another port with --listen, or 127.0.0.1:0 for a free one")
	}
	url := "http://" + l.Addr().String()
	if s.tls {
		if l, err = s.encrypt(in, l); err != nil {
			return err
		}
		url = "https://" + l.Addr().String()
	}
	if err := a.showSimulated(simulated{URL: url, CAFile: s.caFile, Users: []login{
		{"mid", "mid", "the agent"}, {"itil", "itil", "the connectors"}, {"admin", "admin", "the page and the tables"},
	}}); err != nil {
		return errors.Join(err, l.Close())
	}
	return in.Serve(ctx, l)
}

func (a *app) showSimulated(v simulated) error {
	if a.output == formJSON {
		return a.writeJSON(v)
	}
	var f facts
	f.add("instance", v.URL)
	for _, u := range v.Users {
		f.add("login", fmt.Sprintf("%s / %s, for %s", u.Username, u.Password, u.For))
	}
	f.add("authority", v.CAFile)
	return f.write(a.out)
}

// onlyHere refuses to listen where others could reach it: everyone knows the
// passwords.
func onlyHere(address string) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return usage("listen on", address, "use an address of this machine alone, such as 127.0.0.1:8443")
}

func loadFaults(in *simulator.Instance, file string) error {
	text, err := os.ReadFile(file)
	if err == nil {
		err = in.Faults().Load(text)
	}
	if err != nil {
		return fault.New(fault.Invalid, "load faults from", file, err).WithHint("see agent/simulator/README.md for their form")
	}
	return nil
}

func (s simulation) encrypt(in *simulator.Instance, l net.Listener) (net.Listener, error) {
	cert, pem, err := in.Certificate("127.0.0.1", "::1", "localhost")
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if s.caFile != "" {
		if err := os.WriteFile(s.caFile, pem, 0o600); err != nil {
			return nil, errors.Join(fault.New(fault.Unavailable, "write", s.caFile, err).WithHint("name a file that can be written with --ca-file"), l.Close())
		}
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}
