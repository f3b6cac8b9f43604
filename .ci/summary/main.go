// Command summary reads the output of go test -json, prints what failed, and
// fails on a skipped test that the list of allowed skips does not name.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: summary TEST-JSON SKIPS")
		os.Exit(2)
	}
	allowed, err := readSkips(os.Args[2])
	if err == nil {
		err = summarize(os.Args[1], allowed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// readSkips returns the allowed skips: test name → reason.
func readSkips(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	allowed := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, "\t")
		if !ok || reason == "" {
			return nil, fmt.Errorf("%s: %q has no reason", path, line)
		}
		allowed[name] = reason
	}
	return allowed, nil
}

func summarize(path string, allowed map[string]string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	output := map[string]string{} // by package and test
	var passed, skipped int
	var failed, refused []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // a build error is no JSON
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			output[key] += e.Output
		case "pass":
			if e.Test == "" {
				fmt.Printf("ok   %s\n", e.Package)
			} else {
				passed++
			}
			delete(output, key)
		case "fail":
			failed = append(failed, key)
		case "skip":
			if e.Test == "" {
				break
			}
			skipped++
			if _, ok := allowed[e.Test]; !ok {
				refused = append(refused, key+"\n"+output[key])
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, key := range failed {
		fmt.Printf("FAIL %s\n%s", key, output[key])
	}
	slices.Sort(refused)
	for _, r := range refused {
		fmt.Printf("SKIP not allowed: %s", r)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, len(failed), skipped)
	if len(failed)+len(refused) > 0 {
		return fmt.Errorf("%d failed, %d skipped without leave", len(failed), len(refused))
	}
	return nil
}
