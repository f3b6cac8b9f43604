package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// maxLogged bounds the output of a job inside a JSON document; text is not
// bounded.
const maxLogged = 16 << 20

// logged is the output of a job.
type logged struct {
	Job       string `json:"job"`
	Output    string `json:"output"`
	Encoding  string `json:"encoding"` // "utf-8", or "base64" for what is no UTF-8
	Truncated bool   `json:"truncated"`
}

func (a *app) jobsLogsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "logs JOB", Short: "Write a job's report, or its output so far",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeJobs,
	}
	return leaf(a, c, func(ctx context.Context, args []string) (logged, error) {
		client, err := a.dial(ctx)
		if err != nil {
			return logged{}, err
		}
		defer client.Close()
		r, err := client.Output(ctx, args[0])
		if err != nil {
			return logged{}, err
		}
		defer r.Close() //nolint:errcheck // it was only read
		if a.output != formJSON {
			return logged{}, a.copyOutput(args[0], r)
		}
		return readOutput(args[0], r)
	}, func(io.Writer, logged) error { return nil })
}

func readOutput(id string, r io.Reader) (logged, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxLogged+1))
	if err != nil {
		return logged{}, cutOff(id, err)
	}
	l := logged{Job: id, Encoding: "utf-8", Truncated: len(data) > maxLogged}
	data = data[:min(len(data), maxLogged)]
	l.Output = string(data)
	if !utf8.Valid(data) {
		l.Encoding, l.Output = "base64", base64.StdEncoding.EncodeToString(data)
	}
	return l, nil
}

// copyOutput writes the output as it is, but made harmless for a terminal.
func (a *app) copyOutput(id string, r io.Reader) error {
	if !terminal(a.out) {
		_, err := io.Copy(a.out, r)
		return cutOff(id, err)
	}
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if _, failed := io.WriteString(a.out, cleanLines(string(line))); failed != nil {
			return writeError(failed)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return cutOff(id, err)
		}
	}
}

func cutOff(id string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "read the output of", id, err).WithHint("what was shown is incomplete; try again")
}
