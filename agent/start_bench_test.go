package agent_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/simulator"
	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/bolt"
)

// BenchmarkStart measures the time from the opening of an agent to its first
// poll, with this many records in its queue: half of them delivered, half of
// them finished and not yet reported, as after a long outage.
func BenchmarkStart(b *testing.B) {
	for _, records := range []int{0, 1_000_000} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			dir, err := os.MkdirTemp("", "sp") //nolint:usetesting // b.TempDir's names are too long for a socket
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = os.RemoveAll(dir) })
			inst, err := simulator.New(simulator.Options{Agents: []string{"edge1"}})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(inst.Close)
			conf := benchConfig(b, dir)
			first(b, conf, inst) // makes the state folder
			fillQueue(b, filepath.Join(dir, "state"), records)
			b.ResetTimer()
			var sum time.Duration
			for range b.N {
				sum += first(b, conf, inst)
			}
			b.ReportMetric(float64(sum.Microseconds())/1000/float64(b.N), "ms/first-poll")
		})
	}
}

func benchConfig(b *testing.B, dir string) *config.Config {
	b.Helper()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
		b.Fatal(err)
	}
	text := fmt.Sprintf("name = 'edge1'\nstate_dir = '%s/state'\n[[instance]]\nname = 'prod'\nurl = 'http://127.0.0.1:1'\nusername = 'mid'\n"+
		"password = 'file:%s/password'\n[shutdown]\ngrace = '1s'\n", dir, dir)
	c, err := config.Parse("bench.toml", []byte(text), config.Overrides{Env: func(string) (string, bool) { return "", false }})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// poll notes the first read of the ECC queue and lets nothing else through: what
// is to be reported stays.
type poll struct {
	next http.RoundTripper
	once sync.Once
	seen chan struct{}
}

func (p *poll) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/ecc_queue") {
		p.once.Do(func() { close(p.seen) })
		return p.next.RoundTrip(r)
	}
	return nil, http.ErrServerClosed
}

// first starts an agent, waits for its first poll and stops it.
func first(b *testing.B, conf *config.Config, inst *simulator.Instance) time.Duration {
	b.Helper()
	p := &poll{next: inst.Transport(), seen: make(chan struct{})}
	began := time.Now()
	a, err := agent.Open(b.Context(), agent.Options{
		Config: conf, Version: "bench", Log: slog.DiscardHandler, RunnerCommand: []string{os.Args[0], serveRunner},
		Tuning: agent.Tuning{Transport: p},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	<-p.seen
	took := time.Since(began)
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	return took
}

func fillQueue(b *testing.B, state string, records int) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(state, "state.key"))
	if err != nil {
		b.Fatal(err)
	}
	key, err := hex.DecodeString(string(text))
	if err != nil {
		b.Fatal(err)
	}
	store, err := bolt.Open(b.Context(), bolt.Options{Dir: filepath.Join(state, "queue"), Key: key, FreeReserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	const page = 2000
	body := make([]byte, 300)
	for at := 0; at < records; at += page {
		var entries []queue.Entry
		var moves []queue.Transition
		for n := at; n < min(at+page, records); n++ {
			sysID, now := fmt.Sprintf("%032x", n), time.Now()
			id := queue.NewID("prod", sysID, 1)
			entries = append(entries, queue.Entry{Message: body, Job: queue.Job{
				ID: id, Instance: "prod", SysID: sysID, Run: 1, Agent: me, Topic: "Sallyport", Name: "diag.echo",
				Priority: 2, Pool: queue.Standard, Created: now, Received: now,
			}})
			moves = append(moves,
				queue.Transition{Job: id, From: queue.Received, To: queue.Claimed, At: now},
				queue.Transition{Job: id, From: queue.Claimed, To: queue.Started, At: now},
				queue.Transition{Job: id, From: queue.Started, To: queue.Finished, At: now, Result: queue.Succeeded, Outcome: body})
			if n%2 == 0 {
				moves = append(moves, queue.Transition{Job: id, From: queue.Finished, To: queue.Delivered, At: now, Report: "r"})
			}
		}
		if _, err := store.Put(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
		if err := store.Advance(b.Context(), moves...); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}
