package bolt

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/sallyport-agent/sallyport/queue"
)

// lives takes b.N jobs that were put before through three durable transitions
// (claimed, started, finished), workers at a time, each leased in between.
func lives(b *testing.B, s *Store, first, workers int) {
	b.Helper()
	flat(workers, func(w int) {
		for i := w; i < b.N; i += workers {
			id := testEntry(first+i, nil).Job.ID
			advance(b, s, move(id, queue.Received, queue.Claimed))
			job, err := s.Lease(b.Context(), anySlot)
			if err != nil || job == nil {
				b.Errorf("lease: %v %v", job, err)
				return
			}
			advance(b, s, move(job.ID, queue.Claimed, queue.Started))
			advance(b, s, move(job.ID, queue.Started, queue.Finished))
		}
	})
}

func fill(b *testing.B, s *Store, first, n int) {
	b.Helper()
	message := make([]byte, 512)
	for at := 0; at < n; at += 2000 {
		var entries []queue.Entry
		for i := at; i < min(n, at+2000); i++ {
			entries = append(entries, testEntry(first+i, message))
		}
		put(b, s, entries...)
	}
}

func BenchmarkTransitions(b *testing.B) {
	for _, workers := range []int{1, 256, 1000} {
		b.Run(fmt.Sprintf("inflight=%d", workers), func(b *testing.B) {
			s := mustOpen(b, testOptions(b.TempDir()))
			fill(b, s, 0, b.N)
			b.ResetTimer()
			lives(b, s, 0, workers)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkBacklog drains b.N jobs in front of a backlog of claimed ones.
func BenchmarkBacklog(b *testing.B) {
	for _, backlog := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("jobs=%d", backlog), func(b *testing.B) {
			s := mustOpen(b, testOptions(b.TempDir()))
			before := heap()
			fill(b, s, 0, backlog+b.N)
			for at := 0; at < backlog+b.N; at += 2000 {
				var moves []queue.Transition
				for i := at; i < min(backlog+b.N, at+2000); i++ {
					moves = append(moves, move(testEntry(i, nil).Job.ID, queue.Received, queue.Claimed))
				}
				advance(b, s, moves...)
			}
			after := heap()
			b.ResetTimer()
			flat(256, func(w int) {
				for i := w; i < b.N; i += 256 {
					job, err := s.Lease(b.Context(), anySlot)
					if err != nil || job == nil {
						b.Errorf("lease: %v %v", job, err)
						return
					}
					advance(b, s, move(job.ID, queue.Claimed, queue.Started))
					advance(b, s, move(job.ID, queue.Started, queue.Finished))
				}
			})
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			heapMB := float64(after-before) / (1 << 20)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			opts := s.opts
			b.StartTimer()
			b.ResetTimer()
			s = mustOpen(b, opts)
			if job, err := s.Lease(b.Context(), anySlot); err != nil || job == nil {
				b.Fatalf("lease: %v %v", job, err)
			}
			b.StopTimer()
			b.ReportMetric(b.Elapsed().Seconds()*1000, "open-ms")
			b.ReportMetric(rate, "jobs/s")
			b.ReportMetric(heapMB, "heap-MB")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
