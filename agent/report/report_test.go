package report_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/report"
)

type part struct {
	Header  report.Header
	Payload string
}

func readAll(r io.Reader) ([]part, error) {
	var parts []part
	rd := report.NewReader(r)
	for {
		h, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		payload, err := io.ReadAll(rd)
		if err != nil {
			return parts, err
		}
		parts = append(parts, part{h, string(payload)})
	}
}

func sample(t *testing.T) ([]part, []byte) {
	t.Helper()
	want := []part{
		{report.Header{Agent: "mid.server.x", Topic: "Command", Name: "ls", Source: "h", Correlator: "c", Priority: 1}, strings.Repeat("<a>ü</a>", 30_000)},
		{report.Header{Agent: "JDBCProbeResult", Topic: "JDBCProbe", Slim: "<results/>"}, ""},
		{report.Header{Topic: "JDBCProbeCompleted"}, "x"},
	}
	var b bytes.Buffer
	w := report.NewWriter(&b)
	for _, p := range want {
		if err := w.Part(p.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, p.Payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return want, b.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	want, data := sample(t)
	got, err := readAll(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNextSkipsAnUnreadPayload(t *testing.T) {
	t.Parallel()
	want, data := sample(t)
	r := report.NewReader(bytes.NewReader(data))
	for _, p := range want {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.Header, h); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last part: %v", err)
	}
}

func TestACutReportIsAnErrorAtEveryByte(t *testing.T) {
	t.Parallel()
	data, err := report.Encode(report.Header{Topic: "Command"}, "payload")
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := readAll(bytes.NewReader(data[:n])); err == nil {
			t.Errorf("%d of %d bytes were read as a whole report", n, len(data))
		}
	}
}

func FuzzRead(f *testing.F) {
	data, err := report.Encode(report.Header{Topic: "Command"}, "payload")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("P\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parts, err := readAll(bytes.NewReader(data))
		if err == nil && len(parts) == 0 && data[0] != '.' {
			t.Error("no part and no error")
		}
	})
}
