package agent_test

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// serveRunner makes the test binary the runner of a folder: a runner changes its
// own process, and so needs one.
const serveRunner = "serve-runner"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == serveRunner {
		os.Exit(runnerMain(os.Args[2]))
	}
	flag.Parse()
	os.Exit(m.Run())
}

func runnerMain(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := runner.Serve(ctx, runner.Options{Dir: dir, Version: "test", IdleExit: 5 * time.Second, Log: log})
	if err != nil {
		log.Error("runner ended", "err", err)
		return 1
	}
	return 0
}
