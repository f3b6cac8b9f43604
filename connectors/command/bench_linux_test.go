package command_test

import (
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/connectors/connectortest"
)

// BenchmarkTrue runs `true` as the agent does, a call and the release of its
// result for each job, and a bare fork and exec loop in turns within the same run.
func BenchmarkTrue(b *testing.B) {
	for _, parallel := range []int{1, 8, 25} {
		b.Run("parallel="+strconv.Itoa(parallel), func(b *testing.B) {
			c, _ := startRunner(b, b.TempDir())
			s := open(b, c, "")
			var n atomic.Int64
			bare := func() error { return exec.Command("/bin/true").Run() }
			through := func() error {
				call := connectortest.NewCall(b, topic(strconv.FormatInt(n.Add(1), 10), "/bin/true"))
				out, err := s.Run(b.Context(), call)
				if err == nil {
					out.Journaled()
				}
				return err
			}
			var times [2]time.Duration
			const round = 200
			rounds := (b.N + round - 1) / round
			for range rounds {
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
			jobs := float64(rounds * (round / parallel) * parallel)
			b.ReportMetric(jobs/times[0].Seconds(), "bare/s")
			b.ReportMetric(jobs/times[1].Seconds(), "command/s")
			b.ReportMetric(times[0].Seconds()/times[1].Seconds(), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}
