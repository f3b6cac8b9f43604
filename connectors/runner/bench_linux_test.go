package runner_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/connectors/runner"
)

// BenchmarkTrue compares `true` through the runner, every durable step
// included, with a bare fork and exec loop of the same parallelism, in turns
// within the same run. The budget is a ratio of at least 0.5.
func BenchmarkTrue(b *testing.B) {
	for _, parallel := range []int{1, 8, 25} {
		b.Run("parallel="+strconv.Itoa(parallel), func(b *testing.B) {
			p := startRunner(b, b.TempDir(), strings.Fields(os.Getenv("RARGS"))...)
			var n atomic.Int64
			bare := func() error { return exec.Command("/bin/true").Run() }
			through := func() error {
				job := strconv.FormatInt(n.Add(1), 10)
				st, err := p.client.Run(context.Background(), &runner.Spec{Job: job, Attempt: 1, Program: "/bin/true"})
				if err != nil || st.Result.ExitCode != 0 {
					b.Errorf("%+v %v", st, err)
				}
				p.client.ForgetLater(job)
				return nil
			}
			var times [2]time.Duration
			const round = 200
			for done := 0; done < b.N; done += round {
				for i, f := range []func() error{bare, through} {
					start := time.Now()
					var wg sync.WaitGroup
					for range parallel {
						wg.Go(func() {
							for range round / parallel {
								if err := f(); err != nil {
									b.Error(err)
								}
							}
						})
					}
					wg.Wait()
					times[i] += time.Since(start)
				}
			}
			rounds := float64((b.N + round - 1) / round * (round / parallel) * parallel)
			b.ReportMetric(rounds/times[0].Seconds(), "bare/s")
			b.ReportMetric(rounds/times[1].Seconds(), "runner/s")
			b.ReportMetric(times[0].Seconds()/times[1].Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}
