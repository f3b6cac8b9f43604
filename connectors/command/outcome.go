package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/connectors"
	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// inMemory is the size of a stream up to which its text is a value; a larger
// one stays with the runner until it is read.
const inMemory = 64 << 10

// outcome makes the report's content of an ended job:
// <result command="..." exit_code="0"><stdout>…</stdout><stderr/></result>.
// The attribute exit_code is ours; the MID Server has none.
func (s *session) outcome(ctx context.Context, call *connectors.Call, st *runner.Status) (*connectors.Outcome, error) {
	if st.State != runner.Exited || st.Result == nil {
		return nil, fault.New(fault.Unknown, "run command", call.Job, fmt.Errorf("the runner's record of it is %s", st.State)).
			WithHint("Check on the agent's host what it did: the runner ended while it ran.")
	}
	r := st.Result
	subject, err := subject(call.Params)
	if err != nil {
		return nil, err
	}
	stdout, err := s.text(ctx, "stdout", &r.Stdout)
	if err != nil {
		return nil, err
	}
	stderr, err := s.text(ctx, "stderr", &r.Stderr)
	if err != nil {
		return nil, err
	}
	out := &connectors.Outcome{Failure: failure(r, subject.Text)}
	out.Journaled = func() { s.runner.ForgetLater(call.Job) } //nolint:contextcheck // it outlives the call
	for _, o := range []*runner.Output{&r.Stdout, &r.Stderr} {
		if o.Truncated() {
			out.Warn = fmt.Sprintf("output cut (%s): %d bytes dropped", o.Cut, r.Stdout.Dropped+r.Stderr.Dropped)
			break
		}
	}
	item := connectors.Item{
		Attributes: []connectors.Field{{Name: "command", Value: subject.Text}},
		Fields:     []connectors.Text{stdout, stderr},
	}
	if r.Cause != runner.NotStarted {
		item.Attributes = append(item.Attributes, connectors.Field{Name: "exit_code", Value: strconv.Itoa(r.ExitCode)})
	}
	if call.Action == actionRun {
		if stdout.Blob == nil && stderr.Blob == nil {
			out.JSON, err = native(r, stdout.Value, stderr.Value, true)
			return out, err
		}
		if out.JSON, err = native(r, "", "", false); err != nil {
			return nil, err
		}
	}
	out.Items = []connectors.Item{item}
	return out, nil
}

// nativeOutput is the output of command.run. Where the text is too large for
// JSON, Inline is false and it follows as the elements of a <result>.
type nativeOutput struct {
	ExitCode   int    `json:"exit_code"`
	Signal     string `json:"signal,omitempty"`
	Ended      string `json:"ended,omitempty"` // why, if not by itself
	Stdout     string `json:"stdout"`
	Stderr     string `json:"stderr"`
	Inline     bool   `json:"inline"`
	Truncated  bool   `json:"truncated,omitempty"`
	DurationMS int64  `json:"duration_ms"`
	CPUMS      int64  `json:"cpu_ms"`
	MaxRSS     int64  `json:"max_rss_bytes"`
}

func native(r *runner.Result, stdout, stderr string, inline bool) (json.RawMessage, error) {
	return json.Marshal(nativeOutput{
		ExitCode: r.ExitCode, Signal: r.Signal, Ended: string(r.Cause), Stdout: stdout, Stderr: stderr, Inline: inline,
		Truncated:  r.Stdout.Truncated() || r.Stderr.Truncated(),
		DurationMS: r.Ended.Sub(r.Started).Milliseconds(), CPUMS: r.CPU.Milliseconds(), MaxRSS: r.MaxRSS,
	})
}

// text makes one element of the output, in memory where it is small.
func (s *session) text(ctx context.Context, name string, o *runner.Output) (connectors.Text, error) {
	b := &blob{ctx: context.WithoutCancel(ctx), out: o, suffix: marker(o)}
	var err error
	if b.decoding, b.size, err = s.measure(ctx, o); err != nil {
		return connectors.Text{}, err
	}
	b.size += int64(len(b.suffix))
	if b.size > inMemory {
		return connectors.Text{Name: name, Blob: b}, nil
	}
	r, err := b.Open()
	if err != nil {
		return connectors.Text{}, err
	}
	defer r.Close() //nolint:errcheck // read only
	var value strings.Builder
	if _, err := io.Copy(&value, r); err != nil {
		return connectors.Text{}, err
	}
	return connectors.Text{Name: name, Value: value.String()}, nil
}

// marker is what stands for output that was dropped.
func marker(o *runner.Output) string {
	if !o.Truncated() {
		return ""
	}
	return fmt.Sprintf("\n[sallyport: cut here (%s), %d bytes dropped]\n", o.Cut, o.Dropped)
}

// blob is a stream as text, decoded while it is read from the runner.
type blob struct {
	ctx      context.Context //nolint:containedctx // a Blob outlives its call and has no context of its own
	out      *runner.Output
	decoding decoding
	suffix   string
	size     int64
}

// Size implements connectors.Blob.
func (b *blob) Size() int64 { return b.size }

// Open implements connectors.Blob.
func (b *blob) Open() (io.ReadCloser, error) {
	raw, err := b.out.Open(b.ctx)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(b.decoding.reader(raw), strings.NewReader(b.suffix)), raw}, nil
}
