package connectortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
)

// Suite says what to test.
type Suite struct {
	Connector connectors.Connector
	// Settings are the TOML of valid [connector.settings]; "" for none.
	Settings string
	// Harmless is a call that succeeds, of an action that may run often. Job,
	// Attempt, Deadline, Log and Host are filled in.
	Harmless connectors.Call
	// Endless is a call that only a cancel ends. Optional.
	Endless *connectors.Call
}

// cancelTime is how soon Run must return after its context ended.
const cancelTime = 20 * time.Second

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	t.Run("descriptor", s.descriptor)
	t.Run("effects are total", s.effects)
	t.Run("settings", s.settings)
	t.Run("calls", s.calls)
	t.Run("cancel", s.cancel)
}

var (
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	actionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
)

// compile compiles a schema as the agent does.
func compile(t *testing.T, name string, schema json.RawMessage) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatalf("%s: schema: %v", name, err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("test:/"+name, doc); err != nil {
		t.Fatalf("%s: schema: %v", name, err)
	}
	compiled, err := c.Compile("test:/" + name)
	if err != nil {
		t.Fatalf("%s: schema: %v", name, err)
	}
	return compiled
}

func (s *Suite) descriptor(t *testing.T) {
	t.Parallel()
	d := s.Connector.Describe()
	if !namePattern.MatchString(d.Name) {
		t.Errorf("name %q", d.Name)
	}
	if d.Help == "" || strings.Contains(d.Help, "\n") {
		t.Errorf("help %q is not one line", d.Help)
	}
	if len(d.Actions) == 0 {
		t.Error("no action")
	}
	settings := compile(t, d.Name, d.Settings)
	for _, a := range d.Actions {
		if !actionPattern.MatchString(a.Name) || !strings.HasPrefix(a.Name, d.Name+".") {
			t.Errorf("action %q does not have the form %s.NAME", a.Name, d.Name)
		}
		if a.Help == "" || strings.Contains(a.Help, "\n") {
			t.Errorf("%s: help %q is not one line", a.Name, a.Help)
		}
		compile(t, a.Name, a.Parameters)
	}
	if _, err := connectors.NewRegistry(s.Connector); err != nil {
		t.Error(err)
	}
	s.sample(t, d, settings)
}

// sample checks that the sample is a section that its own schema and Open take.
func (s *Suite) sample(t *testing.T, d connectors.Descriptor, schema *jsonschema.Schema) {
	t.Helper()
	var doc struct {
		Connector []struct {
			Use      string         `toml:"use"`
			Name     string         `toml:"name"`
			Settings map[string]any `toml:"settings"`
		} `toml:"connector"`
	}
	dec := toml.NewDecoder(strings.NewReader(d.Sample)).DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil || len(doc.Connector) != 1 {
		t.Fatalf("sample: %v, %d sections", err, len(doc.Connector))
	}
	c := doc.Connector[0]
	if c.Use != d.Name || c.Name == "" {
		t.Errorf("sample uses %q as %q", c.Use, c.Name)
	}
	generic, err := json.Marshal(c.Settings)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(generic))
	if err != nil {
		t.Fatal(err)
	}
	if c.Settings != nil {
		if err := schema.Validate(value); err != nil {
			t.Errorf("sample does not fit its schema: %v", err)
		}
	}
	body, err := toml.Marshal(c.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := decoder(string(body))(new(map[string]any)); err != nil {
		t.Error(err)
	}
	if len(d.Platforms) > 0 && !slices.Contains(d.Platforms, runtime.GOOS) || runtime.GOOS == "windows" {
		return // the sample's paths are those of the other system
	}
	session, err := s.Connector.Open(t.Context(), Settings("sample", string(body)))
	if err != nil {
		t.Fatalf("sample is refused: %v", err)
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
}

// decoder decodes strictly, as the agent does.
func decoder(text string) func(any) error {
	return func(into any) error {
		err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(into)
		if err != nil {
			return fault.New(fault.Invalid, "read settings", "", err).WithHint("Correct the key.")
		}
		return nil
	}
}

// Settings returns settings for a target, from their TOML.
func Settings(target, text string) connectors.Settings {
	return connectors.Settings{
		Target: target, Decode: decoder(text),
		Secret: func(_ context.Context, ref string) (string, error) { return "secret of " + ref, nil },
	}
}

// effects calls what the policy and the journal ask of an action with
// parameters of every shape.
func (s *Suite) effects(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable on purpose
	for _, a := range s.Connector.Describe().Actions {
		schema := map[string]any{}
		if err := json.Unmarshal(a.Parameters, &schema); err != nil {
			t.Fatal(err)
		}
		names := []string{"", "name", "source", "payload", "x"}
		if props, ok := schema["properties"].(map[string]any); ok {
			for n := range props {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		for range 500 {
			p := connectors.Params{}
			for _, n := range names {
				if rng.IntN(2) == 0 {
					p[n] = value(rng, 2)
				}
			}
			if first := a.EffectOf(p); first != a.EffectOf(p) || first > connectors.ReadOnly {
				t.Errorf("%s: effect %d of %v is not stable", a.Name, first, p)
			}
			if a.Subject != nil {
				if _, err := a.Subject(p); err != nil {
					CheckError(t, err)
				}
			}
			if a.Lane != nil {
				_ = a.Lane(p)
			}
		}
	}
}

// value makes any value that decoding can give.
func value(rng *rand.Rand, depth int) any {
	texts := []string{"", " ", "a b", "'", `"`, "$(x)", "\x00", "ü", "-1", "1e9", "true", strings.Repeat("a", 1000), "\xff"}
	switch n := rng.IntN(9); {
	case n == 0:
		return nil
	case n == 1:
		return rng.IntN(2) == 0
	case n == 2:
		return rng.NormFloat64() * 1e12
	case n == 3:
		return json.Number("12")
	case n == 4 && depth > 0:
		return []any{value(rng, depth-1), value(rng, depth-1)}
	case n == 5 && depth > 0:
		return map[string]any{"a": value(rng, depth-1)}
	default:
		return texts[rng.IntN(len(texts))]
	}
}

// CheckError checks that an error says what to do.
func CheckError(tb testing.TB, err error) {
	tb.Helper()
	if _, ok := errors.AsType[*fault.Error](err); !ok {
		tb.Errorf("error without a kind: %v", err)
	}
	if fault.HintOf(err) == "" {
		tb.Errorf("error without a hint: %v", err)
	}
}

func (s *Suite) settings(t *testing.T) {
	t.Parallel()
	_, err := s.Connector.Open(t.Context(), Settings("test", "no_such_key_at_all = 1\n"+s.Settings))
	if fault.KindOf(err) != fault.Invalid || err == nil {
		t.Errorf("an unknown key gives %v", err)
	}
}

// open opens the session under test.
func (s *Suite) open(t *testing.T) connectors.Session {
	t.Helper()
	session, err := s.Connector.Open(t.Context(), Settings("test", s.Settings))
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func (s *Suite) calls(t *testing.T) {
	t.Parallel()
	session := s.open(t)
	if err := session.Probe(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			call := NewCall(t, s.Harmless)
			call.Job += fmt.Sprintf("-%d", i)
			out, err := session.Run(t.Context(), call)
			if err != nil || out == nil || out.Failure != nil || out.Wait != nil {
				t.Errorf("the harmless call gives %+v, %v", out, err)
				return
			}
			if len(out.Items) == 0 && out.JSON == nil || out.JSON != nil && !json.Valid(out.JSON) {
				t.Errorf("outcome without output: %+v", out)
			}
			if out.Journaled != nil {
				out.Journaled()
			}
		})
	}
	wg.Wait()
	call := NewCall(t, s.Harmless)
	call.Action = "no.such.action"
	call.Params = connectors.Params{}
	if _, err := session.Run(t.Context(), call); err != nil {
		CheckError(t, err)
	} else {
		t.Error("an action that does not exist succeeds")
	}
	for range 2 {
		if err := session.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func (s *Suite) cancel(t *testing.T) {
	t.Parallel()
	if s.Endless == nil {
		return
	}
	session := s.open(t)
	defer session.Close() //nolint:errcheck // tested above
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond,
		fault.New(fault.Timeout, "run", "test", errors.New("time is up")).WithHint("Wait longer."))
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err := session.Run(ctx, NewCall(t, *s.Endless))
		switch {
		case err != nil:
			CheckError(t, err)
		case out.Failure == nil:
			t.Errorf("a call that was ended succeeds: %+v", out)
		case out.Failure.Message == "":
			t.Error("a failure without a message")
		}
	}()
	select {
	case <-done:
	case <-time.After(cancelTime):
		t.Fatal("Run does not end after its context")
	}
}
