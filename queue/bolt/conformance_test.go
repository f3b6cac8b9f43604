package bolt_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/queue"
	"github.com/sallyport-agent/sallyport/queue/bolt"
	"github.com/sallyport-agent/sallyport/queue/queuetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Factory{
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
