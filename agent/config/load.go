package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// EnvPrefix begins the names of the environment variables that set keys.
const EnvPrefix = "SALLYPORT_"

// Overrides are what wins over the files.
type Overrides struct {
	// Flags sets keys by their path ("delivery.settle", "instance.prod.url").
	Flags map[string]string
	// Env looks up an environment variable; os.LookupEnv where it is nil. A
	// variable that is empty counts as not set.
	Env func(string) (string, bool)
}

// origin is where a value came from.
type origin struct {
	kind string // "file", "env", "flag"
	name string // the variable or flag
	at   mark
}

// Load reads the configuration at path ([DefaultPath] where it is empty) and
// conf.d beside it. A mistake gives a fault.Invalid that holds all [Problems].
func Load(path string, o Overrides) (*Config, error) {
	if path == "" {
		path = DefaultPath()
	}
	files, err := filesOf(path)
	if err != nil {
		return nil, err
	}
	problems := CheckPermissions(path)
	root := &node{table: map[string]*node{}}
	broken := false
	for _, file := range files {
		data, err := readFile(file)
		if err != nil {
			return nil, err
		}
		n, p := parse(file, data)
		if p != nil {
			problems = append(problems, *p)
			broken = true
			continue
		}
		if root.at.src == nil {
			root.at = mark{src: n.at.src}
		}
		merge(root, n)
	}
	c, more := build(root, o, broken)
	c.files = files
	problems = append(problems, more...)
	if err := problems.asError("load configuration", path); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse reads one configuration from memory, as Load does from a file.
func Parse(file string, data []byte, o Overrides) (*Config, error) {
	root, p := parse(file, data)
	if p != nil {
		return nil, Problems{*p}.asError("load configuration", file)
	}
	c, problems := build(root, o, false)
	return c, problems.asError("load configuration", file)
}

// build makes a configuration of what the files say. When a file is broken, only
// what the others say is checked: what is missing may be in the broken one.
func build(root *node, o Overrides, broken bool) (*Config, Problems) {
	c := &Config{origins: map[string]origin{}}
	setDefaults(valueOf(c))
	d := &decoder{seen: map[string]mark{}}
	d.structure(root, valueOf(c), "")
	if broken {
		d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool { return p.Message == "it is missing" })
	}
	for path, at := range d.seen {
		c.origins[path] = origin{kind: "file", at: at}
	}
	for i := range c.Connectors {
		c.Connectors[i].Settings.target = c.Connectors[i].Name
	}
	problems := slices.Concat(d.problems, c.override(o))
	// A value that came by a flag is not missing in the file.
	problems = slices.DeleteFunc(problems, func(p Problem) bool {
		return p.Message == "it is missing" && c.origins[p.Key].kind != ""
	})
	c.fillPaths()
	if !broken {
		problems = append(problems, c.validate(problems)...)
	}
	return c, problems
}

// override applies environment and flags.
func (c *Config) override(o Overrides) Problems {
	lookup := o.Env
	if lookup == nil {
		lookup = os.LookupEnv
	}
	var problems Problems
	flags := maps.Clone(o.Flags)
	for _, l := range c.leaves() {
		text, isFlag := flags[l.Key]
		if !isFlag {
			text, isFlag = flags[l.path]
		}
		delete(flags, l.Key)
		delete(flags, l.path)
		from := origin{kind: "flag", name: l.Key}
		if !isFlag && l.Env != "" {
			var ok bool
			if text, ok = lookup(l.Env); !ok || text == "" {
				continue
			}
			from = origin{kind: "env", name: l.Env}
		} else if !isFlag {
			continue
		}
		if l.Env == "" {
			problems = append(problems, Problem{Key: l.Key, Message: "it can be set in the configuration file alone", Hint: "set it there"})
			continue
		}
		if err := l.setText(l.value, text); err != nil {
			message, hint := messageOf(err)
			problems = append(problems, Problem{Key: l.Key, Message: "from " + from.kind + " " + from.name + ": " + message, Hint: hint})
			continue
		}
		c.origins[l.path] = from
	}
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		problems = append(problems, Problem{Key: key, Message: "there is no such key", Hint: c.suggest(key)})
	}
	return problems
}

func (c *Config) suggest(key string) string {
	if best := nearest(key, c.Keys()); best != "" {
		return "did you mean " + best + "?"
	}
	return "see: sallyport config explain"
}

// filesOf returns the file and those of conf.d beside it.
func filesOf(path string) ([]string, error) {
	files := []string{path}
	dir := filepath.Join(filepath.Dir(path), "conf.d")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, readError(dir, err)
	}
	for _, e := range entries { // ReadDir sorts
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, readError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "read configuration", path, errors.New("it is not a regular file")).
			WithHint("name the configuration file with --config")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, readError(path, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(data) > maxFile {
		return nil, fault.New(fault.Invalid, "read configuration", path, fmt.Errorf("it is larger than %d bytes", maxFile)).
			WithHint("name the configuration file with --config")
	}
	return data, nil
}

func readError(path string, err error) error {
	e := fault.New(fault.Invalid, "read configuration", path, err)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return e.WithHint("run: sallyport config init, or name a file with --config")
	case errors.Is(err, os.ErrPermission):
		e.Kind = fault.Denied
		return e.WithHint("run it as an administrator, or let the agent's account read the file")
	default:
		e.Kind = fault.Unavailable
		return e.WithHint("check the disk that holds " + path)
	}
}
