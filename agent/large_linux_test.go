package agent_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// printing is a command that prints so many bytes of text.
func printing(bytes int) string {
	return fmt.Sprintf("/usr/bin/seq -s, %d %d", 1_000_000, 1_000_000+bytes/8-1)
}

// TestLargeResult: 1 MB travels inline; of 20 MB the attachment goes first, onto
// the output, and the input names it; no batch request is above its bound.
func TestLargeResult(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{}, allow("/usr/bin/seq -s, *"))
	var mu sync.Mutex
	var order []string
	largest := 0
	next := s.tuning.Transport
	s.tuning.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		body := bodyOf(r)
		mu.Lock()
		if strings.HasSuffix(r.URL.Path, "/batch") {
			largest = max(largest, len(body))
		}
		if r.Method == http.MethodPost && !strings.Contains(body, "queue.processing") {
			order = append(order, r.URL.Path)
		}
		mu.Unlock()
		return next.RoundTrip(r)
	})
	s.start()
	id := s.command(printing(20 << 20))
	r := s.report(id)
	if len(r.row["payload"]) > 64<<10 || len(r.Results) != 1 || r.Results[0].File == "" || r.result() != "succeeded" || r.param("skip_sensor") != "true" {
		t.Fatalf("%d bytes: %.2000s", len(r.row["payload"]), r.row["payload"])
	}
	files := s.inst.Attachments(id)
	if len(files) != 1 || files[0].SysID != r.Results[0].File {
		t.Fatalf("attachments %+v, the report names %s", len(files), r.Results[0].File)
	}
	whole := read(t, simulator.Record{"payload": string(files[0].Content)})
	if len(whole.Results) != 1 || whole.Results[0].ExitCode != "0" || len(whole.Results[0].Stdout) < 20<<20 || whole.param("sallyport_result") != "succeeded" {
		t.Errorf("the attachment is not the whole report: %d bytes of output", len(whole.Results[0].Stdout))
	}
	if !strings.HasPrefix(whole.Results[0].Stdout, "1000000,1000001,") || !strings.HasSuffix(strings.TrimSpace(whole.Results[0].Stdout), fmt.Sprint(1_000_000+(20<<20)/8-1)) {
		t.Error("the output is not what was printed")
	}
	mu.Lock()
	if len(order) < 2 || !strings.Contains(order[0], "attachment") {
		t.Errorf("requests in the order %v", order)
	}
	mu.Unlock()

	var ids []string
	for range 8 {
		ids = append(ids, s.command(printing(1<<20)))
	}
	for _, id := range ids {
		r := s.report(id)
		if len(r.Results) != 1 || len(r.Results[0].Stdout) < 1<<20 || len(s.inst.Attachments(id)) != 0 {
			t.Errorf("1 MB: %d results, %d attachments", len(r.Results), len(s.inst.Attachments(id)))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if largest > 3<<20 {
		t.Errorf("a batch of %d bytes", largest)
	}
}
