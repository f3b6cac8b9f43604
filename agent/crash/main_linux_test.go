package crash_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent"
	"github.com/sallyport-agent/sallyport/agent/config"
)

var (
	kills = flag.Int("kills", 12, "kill agents so many times")
	long  = flag.Duration("long", 0, "go on killing for so long")
	seed  = flag.Uint64("seed", 0, "of the choices; 0 takes one from the clock")
	many  = flag.Int("sites", 0, "agents at work at the same time; 0 is by the number of kills")
)

// program is the real one, built once.
var program string

// What makes the test's binary an agent with hooks.
const (
	serveAgent = "serve-agent"
	envPoint   = "CRASH_POINT"   // the point at which it kills itself
	envNth     = "CRASH_NTH"     // at which of its passes
	envHits    = "CRASH_HITS"    // the file that then gets the point's name
	envProgram = "CRASH_PROGRAM" // serves as the runner
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serveAgent {
		if err := hookedAgent(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	// The sites wait much more than they work: all of them go on at once.
	if err := flag.Set("test.parallel", fmt.Sprint(1+siteCount())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

// run builds the program and runs the tests.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "sallyport")
	build := exec.Command("go", "build", "-o", program, "github.com/sallyport-agent/sallyport/cmd/sallyport")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	return m.Run()
}

// hookedAgent is what `sallyport run` does, with hooks.
func hookedAgent(file string) error {
	conf, err := config.Load(file, config.Overrides{})
	if err != nil {
		return err
	}
	h, err := newHooks(os.Getenv(envPoint), os.Getenv(envNth), os.Getenv(envHits))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	a, err := agent.Open(ctx, agent.Options{
		Config: conf, Version: "crash", Log: textLog(os.Stderr),
		RunnerCommand: []string{os.Getenv(envProgram), "runner", "--forked", "--dir"},
		Wrap:          agent.Wrap{Queue: h.queue, Intake: h.intake, Delivery: h.delivery},
		Tuning:        agent.Tuning{Reverify: 300 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Run(ctx)
}

func textLog(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}
