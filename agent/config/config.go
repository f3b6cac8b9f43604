package config

import (
	"time"

	"github.com/sallyport-agent/sallyport/agent/policy"
	"github.com/sallyport-agent/sallyport/agent/secret"
)

// Version is the version of the schema that this program writes.
const Version = 1

// Config is a configuration. [Default] and [Load] make one; it is not changed
// afterwards. The tags are the one source of help, defaults, bounds, names of
// environment variables and the JSON Schema.
type Config struct {
	Version  int    `toml:"config_version" default:"1" min:"1" max:"1" restart:"true" help:"Version of this file's schema."`
	Name     string `toml:"name" required:"true" restart:"true" help:"Name of the agent; it serves the ECC queue agent mid.server.NAME."`
	StateDir string `toml:"state_dir" restart:"true" help:"Folder of the queue, spool and keys; an absolute path. The platform's usual place when left out."`

	Instances   []Instance   `toml:"instance" help:"An instance that the agent serves."`
	Pools       Pools        `toml:"pools" help:"How many jobs run at once."`
	Delivery    Delivery     `toml:"delivery" help:"How reports reach the instance."`
	Queue       Queue        `toml:"queue" help:"The durable queue."`
	Log         Log          `toml:"log" help:"The agent's log."`
	Control     Control      `toml:"control" help:"The local interface of the command line."`
	Runner      Runner       `toml:"runner" help:"The process that starts programs."`
	Shutdown    Shutdown     `toml:"shutdown" help:"How the agent stops."`
	Policy      Policy       `toml:"policy" help:"What may run."`
	Credentials []Credential `toml:"credential" help:"A secret by name, usable only towards the hosts that it names."`
	Connectors  []Connector  `toml:"connector" help:"A target."`

	origins map[string]origin
	files   []string
}

// Instance is one ServiceNow instance.
type Instance struct {
	Name     string        `toml:"name" required:"true" restart:"true" help:"Name of the instance in logs, rules and job ids: a-z, 0-9 and -."`
	URL      string        `toml:"url" required:"true" help:"Address, such as https://example.service-now.com; http:// only towards loopback."`
	Mode     string        `toml:"mode" default:"native" enum:"native|mid" help:"native polls only; mid stands in for a MID Server: registers, answers heartbeats, uses push."`
	Username string        `toml:"username" help:"User of the instance."`
	Password secret.Ref    `toml:"password" help:"Reference to the user's password: env:NAME, file:/path or systemd:NAME."`
	Poll     time.Duration `toml:"poll" default:"5s" min:"1s" max:"1h" help:"How often the ECC queue is read."`
	API      string        `toml:"api" default:"auto" enum:"auto|batch|single" help:"Whether requests travel in batches."`
	Claim    string        `toml:"claim" default:"auto" enum:"auto|insert|update" help:"How work is claimed: by a queue.processing input, or by updating the output."`
	OAuth    OAuth         `toml:"oauth" help:"Login by OAuth instead of, or with, a password."`
	MTLS     MTLS          `toml:"mtls" help:"Client certificate."`
	TLS      TLS           `toml:"tls" help:"How the instance's certificate is checked."`
	Proxy    Proxy         `toml:"proxy" help:"Proxy towards the instance."`
}

// OAuth is a client of the instance's OAuth endpoint.
type OAuth struct {
	ClientID     string     `toml:"client_id" help:"Client id of the OAuth application."`
	ClientSecret secret.Ref `toml:"client_secret" help:"Reference to the client's secret."`
	Grant        string     `toml:"grant" default:"client_credentials" enum:"client_credentials|password|refresh_token" help:"How a token is got."`
	RefreshToken secret.Ref `toml:"refresh_token" help:"Reference to the first refresh token, for that grant."`
}

// MTLS is a client certificate.
type MTLS struct {
	Cert string     `toml:"cert" help:"PEM file of the client certificate and its chain; an absolute path."`
	Key  secret.Ref `toml:"key" help:"Reference to the certificate's private key (PEM)."`
}

// TLS is how a server's certificate is checked.
type TLS struct {
	CAFiles    []string `toml:"ca_files" help:"PEM files of authorities that are trusted besides the system's."`
	Revocation string   `toml:"revocation" default:"soft" enum:"off|soft|hard" help:"Whether revocation is asked for: off, soft (an answer counts), hard (an answer is needed)."`
}

// Proxy is an HTTP proxy.
type Proxy struct {
	URL      string     `toml:"url" help:"Address of the proxy, such as http://proxy.example.com:3128, without user or password."`
	Username string     `toml:"username" help:"User of the proxy."`
	Password secret.Ref `toml:"password" help:"Reference to the password of the proxy's user."`
	Auth     string     `toml:"auth" default:"none" enum:"none|basic|ntlm|negotiate" help:"How to log in to the proxy."`
	NoProxy  []string   `toml:"no_proxy" help:"Hosts that are reached without the proxy."`
}

// Pools are the numbers of jobs that run at once, by the priority of the ECC
// queue.
type Pools struct {
	Interactive int `toml:"interactive" default:"10" min:"1" max:"1000" help:"Jobs of priority 0."`
	Expedited   int `toml:"expedited" default:"20" min:"1" max:"1000" help:"Jobs of priority 1."`
	Standard    int `toml:"standard" default:"25" min:"1" max:"1000" help:"Jobs of priority 2."`
}

// Delivery is how reports reach the instance.
type Delivery struct {
	Settle    time.Duration `toml:"settle" default:"60s" min:"1s" max:"1h" help:"Wait before a report that was sent without a sure answer is looked up; the instance's own limit of a transaction."`
	Batch     int           `toml:"batch" default:"50" min:"1" max:"100" help:"Reports in one batch request at most."`
	InlineMax int64         `toml:"inline_max" unit:"bytes" default:"15MB" min:"64KB" max:"15MB" help:"Size above which a result travels as an attachment."`
}

// Queue is the durable queue.
type Queue struct {
	KeepDays     int   `toml:"keep_days" default:"90" min:"1" max:"3650" help:"Days for which the ids of delivered jobs are remembered."`
	KeepOutcomes int   `toml:"keep_outcomes" default:"10000" min:"1" max:"10000000" help:"How many delivered jobs keep their outcome, the newest, so that it can be shown and reported again."`
	Reserve      int64 `toml:"reserve" unit:"bytes" default:"256MB" min:"16MB" help:"Free disk space below which no work is taken, so that results still fit."`
	MaxBytes     int64 `toml:"max_bytes" unit:"bytes" default:"16GB" min:"64MB" help:"Size of the state folder at which no work is taken."`
}

// Log is the agent's log.
type Log struct {
	Level  string `toml:"level" default:"info" enum:"debug|info|warn|error" help:"Least level that is logged."`
	Format string `toml:"format" default:"text" enum:"text|json" help:"Form of a line."`
	File   string `toml:"file" help:"File to log to, an absolute path, rotated by size; standard error when left out."`
}

// Control is the local interface of the command line.
type Control struct {
	Socket string `toml:"socket" restart:"true" help:"Path of the unix socket or name of the named pipe. The platform's usual place when left out."`
	Group  string `toml:"group" restart:"true" help:"Group whose members may look (status, jobs); on Linux its name or number. Changes are for the agent's account and administrators alone, and so is looking when it is left out."`
}

// Runner is the process that starts programs.
type Runner struct {
	Mode      string        `toml:"mode" default:"auto" enum:"auto|forked|installed" restart:"true" help:"auto uses the installed runner where there is one, and forks one otherwise."`
	OutputMax int64         `toml:"output_max" unit:"bytes" default:"64MB" min:"64KB" max:"4GB" help:"Output of a program that is kept."`
	Grace     time.Duration `toml:"grace" default:"5s" min:"0s" max:"5m" help:"Time between asking a program to end and ending it."`
}

// Shutdown is how the agent stops.
type Shutdown struct {
	Grace time.Duration `toml:"grace" default:"8s" min:"0s" max:"5m" help:"Time for running jobs to end and reports to leave; the rest is resumed at the next start."`
}

// Policy is what may run.
type Policy struct {
	Default string        `toml:"default" default:"deny" enum:"deny" help:"What happens to work that no rule allows."`
	Rules   []policy.Rule `toml:"rule" help:"A rule on what may run."`
}

// Credential is a secret by name.
type Credential struct {
	Name       string     `toml:"name" required:"true" help:"Name of the credential in rules and settings."`
	Username   string     `toml:"username" help:"User."`
	Password   secret.Ref `toml:"password" help:"Reference to the password."`
	PrivateKey secret.Ref `toml:"private_key" help:"Reference to the private key."`
	Passphrase secret.Ref `toml:"passphrase" help:"Reference to the private key's passphrase."`
	Hosts      []string   `toml:"hosts" required:"true" help:"Hosts towards which it may be used: names, addresses, *.example.com, 10.0.*, 10.0.0.0/8."`
}

// Connector is one target.
type Connector struct {
	Use      string   `toml:"use" required:"true" help:"Name of the connector; see: sallyport connectors list."`
	Name     string   `toml:"name" required:"true" help:"Name of the target in rules, logs and status."`
	Settings Settings `toml:"settings" help:"Settings of the connector; see: sallyport connectors show."`
}

// Default returns the configuration that an empty file would give.
func Default() *Config {
	c := &Config{origins: map[string]origin{}}
	setDefaults(valueOf(c))
	c.fillPaths()
	return c
}

// Files returns the files that the configuration was read from, in order.
func (c *Config) Files() []string { return append([]string(nil), c.files...) }
