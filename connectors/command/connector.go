package command

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/text/encoding"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// The actions.
const (
	actionTopic = "command.mid"
	actionRun   = "command.run"
)

const settingsSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "directory": {"type": "string", "description": "working directory, absolute; the runner's folder without it"},
    "path": {"type": "array", "items": {"type": "string"}, "description": "folders that bare program names are looked up in; the system's without it"},
    "environment": {"type": "object", "additionalProperties": {"type": "string"}, "description": "variables that are set for every command"},
    "timeout": {"type": "string", "description": "the longest a command may take, as 10m or 1h; the rule's timeout without it"},
    "grace": {"type": "string", "description": "time between the polite end and the kill; 5s without it"},
    "max_output": {"type": "integer", "minimum": 1, "description": "bytes of each output stream that are kept; 64 MiB without it"},
    "code_page": {"type": "string", "description": "encoding of output that is neither UTF-8 nor UTF-16, as cp850 or iso-8859-15; the system's without it"}
  }
}`

const topicSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["name"],
  "properties": {"name": {"type": "string", "minLength": 1, "description": "the command"}}
}`

const runSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "oneOf": [{"required": ["argv"]}, {"required": ["command"]}],
  "properties": {
    "argv": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "the program and its arguments"},
    "command": {"type": "string", "minLength": 1, "description": "the command as one text"}
  }
}`

const sample = `[[connector]]
use  = "command"
name = "command"
[connector.settings]
directory = "/opt/tools"     # where relative commands are looked up
timeout   = "10m"            # a rule can say less
`

// Connector runs commands through a runner.
type Connector struct{ runner *runner.Client }

// New returns the connector. The client may be without a runner until the first
// call.
func New(client *runner.Client) *Connector { return &Connector{runner: client} }

// Describe implements connectors.Connector.
func (c *Connector) Describe() connectors.Descriptor {
	return connectors.Descriptor{
		Name: "command", Help: "Runs programs on the agent's host.",
		Settings: json.RawMessage(settingsSchema), Sample: sample, Implicit: true,
		Platforms: []string{"linux", "windows"},
		Actions: []connectors.Action{
			{
				Name: actionTopic, Help: "Runs a command as the MID Server's topic Command does.",
				Topics: []string{"Command"}, Parameters: json.RawMessage(topicSchema), Subject: subject,
			},
			{
				Name: actionRun, Help: "Runs a command and returns its output and exit code as JSON.",
				Parameters: json.RawMessage(runSchema), Subject: subject,
			},
		},
	}
}

// subject is what the policy judges: the words that would run.
func subject(p connectors.Params) (connectors.Subject, error) {
	argv, ok, err := argvOf(p)
	if err != nil {
		return connectors.Subject{}, err
	}
	if ok {
		return connectors.Subject{Text: strings.Join(argv, " "), Words: argv}, nil
	}
	text, err := textOf(p)
	if err != nil {
		return connectors.Subject{}, err
	}
	s := connectors.Subject{Text: text}
	words, err := connectors.Words(text)
	switch {
	case errors.Is(err, connectors.ErrNeedsShell):
	case err != nil:
		return s, invalid(text, err, "Close the quote.")
	default:
		s.Words = words
	}
	return s, nil
}

// argvOf returns the parameter argv of a native call.
func argvOf(p connectors.Params) (argv []string, ok bool, err error) {
	bad := func() error {
		return invalid("argv", errors.New("it must be a list of texts that begins with the program"), `Pass "argv": ["program", "argument"].`)
	}
	switch list := p["argv"].(type) {
	case nil:
		return nil, false, nil
	case []string:
		argv = list
	case []any:
		for _, v := range list {
			s, ok := v.(string)
			if !ok {
				return nil, false, bad()
			}
			argv = append(argv, s)
		}
	default:
		return nil, false, bad()
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, false, bad()
	}
	return argv, true, nil
}

// textOf returns the command text: command of a native call, name of a topic
// ("ECC queue and the MID Server", product documentation: the payload overrides the record).
func textOf(p connectors.Params) (string, error) {
	for _, name := range []string{"command", "name"} {
		if text := strings.TrimSpace(p.String(name)); text != "" {
			return text, nil
		}
	}
	return "", invalid("", errors.New("there is no command"), "Put the command into the record's name, or into the payload's parameter \"name\".")
}

func invalid(text string, cause error, hint string) error {
	return fault.New(fault.Invalid, "run command", text, cause).WithHint(hint)
}

// settings are [connector.settings].
type settings struct {
	Directory   string            `toml:"directory"`
	Path        []string          `toml:"path"`
	Environment map[string]string `toml:"environment"`
	Timeout     string            `toml:"timeout"`
	Grace       string            `toml:"grace"`
	MaxOutput   int64             `toml:"max_output"`
	CodePage    string            `toml:"code_page"`
}

// Open implements connectors.Connector. It does not touch the runner.
func (c *Connector) Open(_ context.Context, in connectors.Settings) (connectors.Session, error) {
	var set settings
	if in.Decode != nil {
		if err := in.Decode(&set); err != nil {
			return nil, err
		}
	}
	s := &session{runner: c.runner, dir: set.Directory, maxOutput: set.MaxOutput}
	wrong := func(key string, cause error, hint string) error {
		return fault.New(fault.Invalid, "open target", in.Target+": "+key, cause).WithHint(hint)
	}
	if set.Directory != "" && !filepath.IsAbs(set.Directory) {
		return nil, wrong("directory", errors.New("the path is not absolute"), "Give the whole path of the folder.")
	}
	if set.MaxOutput < 0 {
		return nil, wrong("max_output", errors.New("it is negative"), "Give a number of bytes.")
	}
	var err error
	for key, field := range map[string]struct {
		text string
		into *time.Duration
	}{"timeout": {set.Timeout, &s.timeout}, "grace": {set.Grace, &s.grace}} {
		if field.text == "" {
			continue
		}
		if *field.into, err = time.ParseDuration(field.text); err != nil || *field.into <= 0 {
			return nil, wrong(key, errors.New("it is no duration above zero"), `Write it as "30s", "10m" or "1h".`)
		}
	}
	if s.fallback, err = codePage(set.CodePage); err != nil {
		return nil, wrong("code_page", err, `Use a name such as "cp850", "windows-1252" or "iso-8859-15".`)
	}
	for _, dir := range set.Path {
		if !filepath.IsAbs(dir) || strings.ContainsRune(dir, filepath.ListSeparator) {
			return nil, wrong("path", errors.New(dir+" is no absolute folder"), "Give whole paths.")
		}
	}
	if len(set.Path) > 0 {
		s.env = append(s.env, "PATH="+strings.Join(set.Path, string(filepath.ListSeparator)))
	}
	for name, value := range set.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return nil, wrong("environment", errors.New("a name or value cannot be a variable"), "Remove = and NUL.")
		}
		s.env = append(s.env, name+"="+value)
	}
	return s, nil
}

// session is one opened target.
type session struct {
	runner         *runner.Client
	dir            string
	env            []string
	timeout, grace time.Duration
	maxOutput      int64
	fallback       encoding.Encoding
}

// Probe implements connectors.Session: the runner answers.
func (s *session) Probe(ctx context.Context) error {
	_, err := s.runner.Ping(ctx)
	return err
}

// Close implements connectors.Session. The runner's client is shared.
func (s *session) Close() error { return nil }
