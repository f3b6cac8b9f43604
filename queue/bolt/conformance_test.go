package bolt_test

import (
	"bytes"
	"flag"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/bolt"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

var walks = flag.Int("walks", 0, "how many random walks are compared with the model; 0 is the suite's own number")

func TestConformance(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Factory{
		Walks: *walks,
		New: func(tb testing.TB, now func() time.Time) queuetest.Open {
			tb.Helper()
			dir := tb.TempDir()
			return func() (queue.Queue, error) {
				return bolt.Open(tb.Context(), bolt.Options{
					Dir: dir, Key: bytes.Repeat([]byte{1}, bolt.KeyBytes), Now: now, FreeReserve: -1,
				})
			}
		},
	})
}
