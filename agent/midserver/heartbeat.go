package midserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
)

// TopicHeartbeat is the topic that the instance's monitor asks with.
const TopicHeartbeat = "HeartbeatProbe"

// Poster inserts input messages.
type Poster interface {
	Post(ctx context.Context, messages []ecc.Message) []delivery.Receipt
}

// Heartbeat answers the instance's heartbeat without the journal: a full disk
// must not look like a dead agent. An answer that is given twice does no harm.
type Heartbeat struct {
	poster  Poster
	version string
}

// NewHeartbeat returns a Heartbeat that answers with this version.
func NewHeartbeat(p Poster, version string) *Heartbeat {
	return &Heartbeat{poster: p, version: version}
}

// Answer answers a heartbeat and reports whether the message was one.
func (h *Heartbeat) Answer(ctx context.Context, m ecc.Message) (mine bool, err error) {
	if !strings.EqualFold(m.Topic, TopicHeartbeat) {
		return false, nil
	}
	began := time.Now()
	payload, err := ecc.ParsePayload(m.Payload)
	if err != nil {
		payload = ecc.Payload{} // whatever it says, the answer is that we live
	}
	result := ecc.Result{
		ProbeTime: time.Since(began),
		Added: []ecc.Attribute{
			{Name: "mid_operational_state", Value: "Up"},
			{Name: "version", Value: h.version},
		},
		Echo: &ecc.Echo{Message: m, Payload: payload},
	}
	text, err := result.Marshal()
	if err != nil {
		return true, err
	}
	receipts := h.poster.Post(ctx, []ecc.Message{ecc.Input(m, text)})
	if len(receipts) != 1 {
		return true, fmt.Errorf("post the heartbeat's answer: %d receipts", len(receipts))
	}
	return true, receipts[0].Err
}
