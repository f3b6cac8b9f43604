package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/control/controltest"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": func() { os.Exit(mainCode()) }})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each program takes a second longer
			e.Setenv("PASSWORD", "mid")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"agent":     agentCmd,
			"calls":     callsCmd,
			"instance":  instanceCmd,
			"code":      codeCmd,
			"validates": validatesCmd,
			"narrow":    narrowCmd,
		},
	})
}

// agentCmd serves a sample agent in the folder of the script; its address is
// $CONTROL. `agent sick` has a link that is down.
func agentCmd(ts *testscript.TestScript, _ bool, args []string) {
	a := controltest.Sample(time.Now().UTC())
	if len(args) > 0 && args[0] == "sick" {
		a.State.Instances[0].Link, a.State.Instances[0].Error = "down", "connection refused"
		a.State.Problems = []string{"no contact for 12 minutes \x1b[31mwith prod, " + strings.Repeat("and so on ", 12)}
	}
	path := control.Path(ts.Getenv("WORK"))
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, control.Options{Path: path, Agent: a, Version: "1.2.3", Ready: func() { close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-done:
		ts.Fatalf("serve: %v", err)
	}
	ts.Defer(func() {
		cancel()
		<-done
	})
	ts.Setenv("CONTROL", path)
	agents.put(ts.Getenv("WORK"), a)
}

// callsCmd checks which changes were asked for: `calls 'cancel prod/b *'`.
func callsCmd(ts *testscript.TestScript, _ bool, args []string) {
	got := agents.get(ts.Getenv("WORK")).Calls()
	if len(got) != len(args) {
		ts.Fatalf("calls %q, want %q", got, args)
	}
	for i, want := range args {
		if !strings.HasPrefix(got[i], want) {
			ts.Fatalf("calls %q, want %q", got, args)
		}
	}
}

// instanceCmd starts a simulated instance and writes sallyport.toml for it.
func instanceCmd(ts *testscript.TestScript, _ bool, args []string) {
	o := simulator.Options{}
	if len(args) > 0 {
		o.Agents = args
	}
	in, err := simulator.New(o)
	ts.Check(err)
	srv := httptest.NewServer(in)
	ts.Defer(func() {
		srv.Close()
		in.Close()
	})
	state := filepath.Join(ts.Getenv("WORK"), "state")
	ts.Check(os.MkdirAll(state, 0o700))
	text := "name = 'edge1'\nstate_dir = '" + state + "'\n[[instance]]\nname = 'prod'\nurl = '" + srv.URL +
		"'\nusername = 'mid'\npassword = 'env:PASSWORD'\n[control]\nsocket = '" + control.Path(state) + "'\n"
	ts.Check(os.WriteFile(ts.MkAbs("sallyport.toml"), []byte(text), 0o600))
}

// codeCmd runs the program and checks its exit code: `code 5 status`.
func codeCmd(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("sallyport", args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// validatesCmd checks that a file holds exactly one JSON document that fits the
// schema in another: `validates schema.json document.json`.
func validatesCmd(ts *testscript.TestScript, _ bool, args []string) {
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	ts.Check(c.AddResource("schema.json", schema))
	compiled, err := c.Compile("schema.json")
	ts.Check(err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(ts.ReadFile(args[1]))) // refuses more than one
	ts.Check(err)
	ts.Check(compiled.Validate(doc))
	strict(ts, schema, doc, "")
}

// strict refuses members that the schema does not name: it must be whole.
func strict(ts *testscript.TestScript, schema, doc any, at string) {
	s, _ := schema.(map[string]any)
	switch v := doc.(type) {
	case map[string]any:
		props, named := s["properties"].(map[string]any)
		for name, value := range v {
			if _, known := props[name]; named && !known {
				ts.Fatalf("%s.%s is not in the schema", at, name)
			}
			strict(ts, props[name], value, at+"."+name)
		}
	case []any:
		for _, value := range v {
			strict(ts, s["items"], value, at+"[]")
		}
	}
}

// narrowCmd checks that no line of a file is wider than 80 columns.
func narrowCmd(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}

func TestEveryCommandWithASchemaHasAWholeOne(t *testing.T) {
	t.Parallel()
	a := &app{getenv: func(string) string { return "" }, now: time.Now}
	n := 0
	for _, c := range leaves(a.root()) {
		if c.Annotations[hasSchema] == "" {
			continue
		}
		n++
		var out strings.Builder
		b := &app{out: &out, err: &out, getenv: a.getenv, now: time.Now}
		args := append(strings.Fields(strings.TrimPrefix(c.CommandPath(), "sallyport")), "--output", "schema")
		if code := b.execute(t.Context(), args); code != codeOK {
			t.Errorf("%s: exit code %d: %s", c.CommandPath(), code, out.String())
			continue
		}
		var schema any
		if err := json.Unmarshal([]byte(out.String()), &schema); err != nil {
			t.Errorf("%s: %v", c.CommandPath(), err)
			continue
		}
		comp := jsonschema.NewCompiler()
		if err := comp.AddResource("s.json", schema); err != nil {
			t.Error(err)
		}
		if _, err := comp.Compile("s.json"); err != nil {
			t.Errorf("%s: %v", c.CommandPath(), err)
		}
	}
	if n < 20 {
		t.Errorf("only %d commands have a schema", n)
	}
}
