package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/demo"
	"github.com/sallyport-agent/sallyport/agent/fault"
)

func (a *app) benchCommand() *cobra.Command {
	var jobs, single int
	c := &cobra.Command{
		Use: "bench", Short: "Measure a whole agent on this machine against a simulated instance",
		Long: "Measure an agent in a process of its own against a simulated instance in this one:\n" +
			"no-op jobs from the queue to their reports with every durable step, single jobs by\n" +
			"polling alone, and what the agent takes when it is idle. Both share the processors.",
	}
	c.Flags().IntVar(&jobs, "jobs", 20_000, "`NUMBER` of jobs for the throughput")
	c.Flags().IntVar(&single, "single", 20, "`NUMBER` of single jobs for the latency")
	return leaf(a, c, func(ctx context.Context, _ []string) (r demo.BenchResult, err error) {
		if jobs < 1 || jobs > 10_000_000 || single < 0 || single > 10_000 {
			return r, usage("measure", fmt.Sprintf("%d and %d jobs", jobs, single), "use 1 to 10000000 jobs, and at most 10000 single ones")
		}
		exe, err := os.Executable()
		if err != nil {
			return r, fault.New(fault.Internal, "find", "this program", err).WithHint("start it by its whole path")
		}
		dir, err := demo.TempDir()
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		return demo.Bench(ctx, demo.BenchOptions{Program: []string{exe, "run", "--config"}, Dir: dir, Jobs: jobs, Single: single})
	}, showBench)
}

func showBench(w io.Writer, r demo.BenchResult) error {
	var f facts
	f.add("throughput", fmt.Sprintf("%.0f jobs/s (%d jobs in %.1f s, %d processors shared with the instance)", r.JobsPerSec, r.Jobs, r.Seconds, r.CPUs))
	f.add("checked", fmt.Sprintf("%d missing, %d reported more than once", r.Missing, r.Repeated))
	f.add("latency", fmt.Sprintf("p50 %.0f ms, p99 %.0f ms, most %.0f ms, ready to reported, poll every %d ms", r.P50Millis, r.P99Millis, r.MaxMillis, r.PollMillis))
	f.add("start", fmt.Sprintf("%.0f ms to the first claim", r.StartMillis))
	f.add("stop", fmt.Sprintf("%.0f ms", r.StopMillis))
	if r.IdleCPU >= 0 {
		f.add("idle", fmt.Sprintf("%.1f MB resident (%.1f MB at most), %.2f %% of a core", float64(r.IdleResident)/1024, float64(r.PeakResident)/1024, r.IdleCPU*100))
	}
	return f.write(w)
}
