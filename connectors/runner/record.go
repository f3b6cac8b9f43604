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
	Nonce   string    `json:"nonce"` // first, and so never parted from the file's beginning
	Job     string    `json:"job"`
	Attempt int       `json:"attempt"`
	Boot    string    `json:"boot"`
	Time    time.Time `json:"time"`
	Output  int64     `json:"output"`
}

// line is one line of a record: exactly one field is set, and Of names the
// record's nonce in all lines but the first. Files are used again, and a power
// cut may leave a mixture of the old record and the new: a line of another
// nonce does not belong to it.
type line struct {
	Of    string    `json:"of,omitempty"`
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
		if json.Unmarshal(text, &l) != nil || l.Of != "" && (r.begun == nil || l.Of != r.begun.Nonce) {
			continue
		}
		switch {
		case l.Begun != nil && r.begun == nil:
			r.begun = l.Begun
		case l.Child != nil:
			r.child = l.Child
		case l.End != nil:
			r.end = l.End
		}
	}
}

// blockSize is what a record's file occupies from the beginning. The lines fill
// it from its start; the rest is zero bytes, an incomplete line.
const blockSize = 4096

// recordFile is the open file of a record, used by one goroutine at a time.
type recordFile struct {
	f    *os.File
	path string
	off  int64 // the end of the last line
}

// write begins the record, over whatever the file held, and makes it durable.
// Where the file had its block before, that changes nothing but data.
func (r *recordFile) write(first []byte) error {
	block := make([]byte, max(blockSize, len(first)))
	copy(block, first)
	if _, err := r.f.WriteAt(block, 0); err != nil {
		return err
	}
	r.off = int64(len(first))
	return syncData(r.f)
}

// append adds a line, starting a fresh one where an earlier write was cut.
func (r *recordFile) append(l line) error {
	body, err := encodeLine(l)
	if err != nil {
		return err
	}
	n, err := r.f.WriteAt(body, r.off)
	r.off += int64(n)
	if err != nil {
		// Close the broken line, so that another try stands on its own.
		n, again := r.f.WriteAt([]byte{'\n'}, r.off)
		r.off += int64(n)
		return errors.Join(err, again)
	}
	return nil
}

// wipe makes the file an empty record. It reports whether it can be used again.
func (r *recordFile) wipe() (bool, error) {
	info, err := r.f.Stat()
	if err != nil || info.Size() != blockSize {
		return false, err
	}
	_, err = r.f.WriteAt(make([]byte, blockSize), 0)
	return err == nil, err
}

func (r *recordFile) sync() error { return syncData(r.f) }

func (r *recordFile) close() error { return r.f.Close() }

func encodeLine(l line) ([]byte, error) {
	body, err := json.Marshal(l)
	return append(body, '\n'), err
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
