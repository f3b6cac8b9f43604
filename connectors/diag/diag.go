package diag

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// The actions.
const (
	actionEcho   = "diag.echo"
	actionSleep  = "diag.sleep"
	actionFail   = "diag.fail"
	actionWait   = "diag.wait"
	actionAppend = "diag.append"
)

const settingsSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "file": {"type": "string", "description": "the one file that diag.append appends to, absolute; without it the action is refused"}
  }
}`

const sample = `[[connector]]
use  = "diag"
name = "diag"
[connector.settings]
file = "/var/lib/sallyport/diag.log"   # for diag.append alone
`

// Connector is the diag connector.
type Connector struct{}

// New returns the connector.
func New() *Connector { return &Connector{} }

// Describe implements connectors.Connector.
func (*Connector) Describe() connectors.Descriptor {
	readOnly := func(connectors.Params) connectors.Effect { return connectors.ReadOnly }
	schema := func(required, properties string) json.RawMessage {
		return json.RawMessage(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", ` +
			`"required": [` + required + `], "properties": {` + properties + `}}`)
	}
	return connectors.Descriptor{
		Name: "diag", Help: "Tries out and measures the agent itself.",
		Settings: json.RawMessage(settingsSchema), Sample: sample, Implicit: true,
		Actions: []connectors.Action{
			{
				Name: actionEcho, Help: "Returns its parameter text.", Effect: readOnly,
				Parameters: schema(``, `"text": {"type": "string"}`),
			},
			{
				Name: actionSleep, Help: "Returns after a time.", Effect: readOnly,
				Parameters: schema(`"seconds"`, `"seconds": {"type": ["number", "string"], "minimum": 0, "maximum": 86400}`),
			},
			{
				Name: actionFail, Help: "Fails as it is told: with an error of a kind, or with an outcome that is a failure.",
				Effect: readOnly,
				Parameters: schema(``, `"kind": {"enum": ["outcome", "internal", "invalid", "denied", "unavailable", "conflict", "timeout", "canceled", "unknown"]}, `+
					`"message": {"type": "string"}`),
			},
			{
				Name: actionWait, Help: "Waits a number of times without a worker, then succeeds.", Effect: readOnly,
				Parameters: schema(``, `"times": {"type": ["integer", "string"], "minimum": 0, "maximum": 1000}, `+
					`"seconds": {"type": ["number", "string"], "minimum": 0, "maximum": 86400}`),
			},
			{
				Name: actionAppend, Help: "Appends the job's id to the file of the settings, as an effect that can be counted.",
				Parameters: schema(``, `"seconds": {"type": ["number", "string"], "minimum": 0, "maximum": 86400, "description": "time to sleep before"}`),
			},
		},
	}
}

// Open implements connectors.Connector.
func (*Connector) Open(_ context.Context, in connectors.Settings) (connectors.Session, error) {
	var set struct {
		File string `toml:"file"`
	}
	if in.Decode != nil {
		if err := in.Decode(&set); err != nil {
			return nil, err
		}
	}
	if set.File != "" && !filepath.IsAbs(set.File) {
		return nil, fault.New(fault.Invalid, "open target", in.Target+": file", errors.New("the path is not absolute")).
			WithHint("Give the whole path of the file.")
	}
	return &session{file: set.File}, nil
}
