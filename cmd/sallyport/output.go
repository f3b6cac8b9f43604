package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// width is what a screen of text keeps to, in columns.
const width = 80

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// writeJSON writes the one document of a command.
func (a *app) writeJSON(v any) error {
	if raw, ok := v.(json.RawMessage); ok {
		return a.writeRaw(raw)
	}
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	fillNil(p.Elem())
	data, err := json.MarshalIndent(p.Interface(), "", "  ")
	if err != nil {
		return fault.New(fault.Internal, "encode", "the output", err).WithHint("report this defect")
	}
	return a.writeRaw(data)
}

func (a *app) writeRaw(data []byte) error {
	if _, err := fmt.Fprintf(a.out, "%s\n", strings.TrimRight(string(data), "\n")); err != nil {
		return writeError(err)
	}
	return nil
}

// fillNil makes nil lists and maps empty ones, so that a reader of the JSON finds
// [] and {} and never null.
func fillNil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fillNil(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillNil(v.Field(i))
			}
		}
	default:
	}
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paint colors a word where colors are wanted and seen.
func (a *app) paint(w io.Writer, color, word string) string {
	if a.noColor || a.getenv("NO_COLOR") != "" || !terminal(w) {
		return word
	}
	return "\x1b[" + color + "m" + word + "\x1b[0m"
}

// clean makes a text of others fit for a terminal: one line, no control
// characters, nothing that reorders what is read.
func clean(s string) string { return cleanBut(s, "") }

// cleanLines is clean for texts of several lines.
func cleanLines(s string) string { return cleanBut(s, "\n\t") }

func cleanBut(s, keep string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r) || strings.ContainsRune(keep, r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		i += n
	}
	return b.String()
}

// cut shortens a line to n columns.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:max(0, n-3)]) + "..."
}

// wrap breaks a text into lines of at most n columns, at spaces where it can.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		for utf8.RuneCountInString(word) > n {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			r := []rune(word)
			lines, word = append(lines, string(r[:n])), string(r[n:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= n:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// ago says how long a time is past, roughly.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return rough(now.Sub(t))
}

func rough(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return strconv.Itoa(int(d.Hours())/24) + "d"
	}
}

// size says how many bytes, roughly.
func size(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB", "PB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 || f >= 10 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
