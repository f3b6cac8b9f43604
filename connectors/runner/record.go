package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// identity tells one process from every other that ever had its pid.
type identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // in the system's own units since boot, or absolute
	Boot  string `json:"boot"`
}

// begun is the first line of a record.
type begun struct {
	Job     string    `json:"job"`
	Attempt int       `json:"attempt"`
	Nonce   string    `json:"nonce"`
	Boot    string    `json:"boot"`
	Time    time.Time `json:"time"`
	Output  int64     `json:"output"`
}

// line is one line of a record: exactly one field is set.
type line struct {
	Begun *begun    `json:"begun,omitempty"`
	Child *identity `json:"child,omitempty"`
	End   *Result   `json:"end,omitempty"`
}

// record is what a record file says. A file without a readable first line has
// only Job's file name to go by: it counts as begun.
type record struct {
	begun *begun
	child *identity
	end   *Result
	empty bool // without even one complete line: never begun
}

const maxRecord = 1 << 20

func (s *store) read(path string) (record, error) {
	f, err := os.Open(path)
	if err != nil {
		return record{}, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return record{}, err
	}
	return parseRecord(body), nil
}

// parseRecord reads the complete lines of a record and skips what it does not
// understand: a newer runner may have written it.
func parseRecord(body []byte) record {
	r := record{empty: !bytes.ContainsRune(body, '\n')}
	for {
		text, rest, complete := bytes.Cut(body, []byte{'\n'})
		if !complete {
			return r
		}
		body = rest
		var l line
		if json.Unmarshal(text, &l) != nil {
			continue
		}
		switch {
		case l.Begun != nil:
			r.begun = l.Begun
		case l.Child != nil:
			r.child = l.Child
		case l.End != nil:
			r.end = l.End
		}
	}
}

// appendLine adds a line to a record, starting a fresh one where an earlier
// write was cut.
func appendLine(f *os.File, l line, durable bool) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(body, '\n')); err != nil {
		// Close the broken line, so that another try stands on its own.
		_, again := f.Write([]byte{'\n'})
		return errors.Join(err, again)
	}
	if !durable {
		return nil
	}
	return f.Sync()
}

// splitName takes "KEY@N.suffix" apart.
func splitName(name string) (key string, attempt int, suffix string, ok bool) {
	base, suffix, ok := strings.Cut(name, ".")
	if !ok {
		return "", 0, "", false
	}
	key, number, ok := strings.Cut(base, "@")
	if !ok {
		return "", 0, "", false
	}
	attempt, err := strconv.Atoi(number)
	if err != nil || attempt < 1 || key == "" {
		return "", 0, "", false
	}
	return key, attempt, suffix, true
}
