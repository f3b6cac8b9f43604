package eccqueue

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport-agent/sallyport/agent/delivery"
	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/intake"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

const table = "ecc_queue"

// How work is claimed.
const (
	ClaimAuto   = "auto"   // by insert, and by update where that does not take
	ClaimInsert = "insert" // a queue.processing input, as the MID Server does
	ClaimUpdate = "update" // the outputs' own state
)

// Config is what a Queue is made of.
type Config struct {
	Client *servicenow.Client
	Agent  string // the agent value: "mid.server.edge1"
	// Marker names this installation in the claims, so that a second agent of
	// the same name can be told apart.
	Marker string
	Claim  string // one of the three; "" is ClaimAuto
	Log    *slog.Logger
}

// Queue is the ECC queue of one instance for one agent. It is safe for
// concurrent use.
type Queue struct {
	Config

	mu      sync.Mutex
	polls   int            // reads of the first page
	inserts map[string]int // outputs that were claimed by insert, and how often
	updates bool           // claims by insert do not take here
}

var (
	_ intake.Instance   = (*Queue)(nil)
	_ delivery.Instance = (*Queue)(nil)
)

// New returns a Queue.
func New(c Config) *Queue {
	if c.Claim == "" {
		c.Claim = ClaimAuto
	}
	return &Queue{Config: c, inserts: map[string]int{}, updates: c.Claim == ClaimUpdate}
}

// columns are what is read of an output; sensors want all of them echoed.
func columns() []string {
	return []string{
		"sys_id", "agent", "topic", "name", "source", "queue", "state", "priority", "sequence", "payload",
		"response_to", "agent_correlator", "from_host", "from_sys_id", "error_string", "processed", "signature",
		"sys_mod_count", "sys_created_on", "sys_created_by", "sys_updated_on", "sys_domain",
	}
}

// outputs are the conditions that every output of this agent in a state fits.
func (q *Queue) outputs(state string) []servicenow.Condition {
	return []servicenow.Condition{
		servicenow.Eq("agent", q.Agent), servicenow.Eq("queue", ecc.QueueOutput), servicenow.Eq("state", state),
	}
}

// countEvery is how often the first page is read with a count of all rows: an
// instance cuts a page to its limit before it leaves out what the user may not
// see, so that an empty page can hide a full one behind it.
const countEvery = 12

// Ready implements intake.Instance.
func (q *Queue) Ready(ctx context.Context, offset, limit int) (page []ecc.Message, last bool, err error) {
	count := offset > 0
	if offset == 0 {
		q.mu.Lock()
		count = q.polls%countEvery == 0
		q.polls++
		q.mu.Unlock()
	}
	p, err := q.Client.List(ctx, table, servicenow.Query{
		Where: q.outputs(ecc.StateReady),
		Order: []servicenow.Order{
			servicenow.Ascending("priority"), servicenow.Ascending("sequence"), servicenow.Ascending("sys_id"),
		},
		Fields: columns(), Limit: limit, Offset: offset, Count: count,
	})
	if err != nil {
		return nil, false, err
	}
	last = p.Rows < limit
	if p.Total >= 0 {
		last = p.Total <= p.Next
	}
	return q.messages(ctx, p.Records), last, nil
}

// Processing implements intake.Instance.
func (q *Queue) Processing(ctx context.Context, after string, limit int) ([]ecc.Message, error) {
	where := q.outputs(ecc.StateProcessing)
	if after != "" {
		where = append(where, servicenow.Greater("sys_id", servicenow.Text(after)))
	}
	p, err := q.Client.List(ctx, table, servicenow.Query{
		Where: where, Order: []servicenow.Order{servicenow.Ascending("sys_id")}, Fields: columns(), Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	return q.messages(ctx, p.Records), nil
}

// messages reads the records. One without a sys_id or an agent can neither be
// claimed nor answered; it is logged and left out. Everything else that is wrong
// with a record is answered when its job is run.
func (q *Queue) messages(ctx context.Context, records []servicenow.Record) []ecc.Message {
	list := make([]ecc.Message, 0, len(records))
	for _, r := range records {
		m, err := ecc.FromRecord(r)
		if err != nil && (!ecc.ValidSysID(m.SysID) || m.Agent != q.Agent) {
			q.Log.WarnContext(ctx, "left out a record that cannot be answered", slog.String("sys_id", r["sys_id"]), slog.Any("err", err))
			continue
		}
		list = append(list, m)
	}
	return list
}

// lookAtOnce is how many sys_ids fit into one query: an address must stay well
// below the limits of proxies.
const lookAtOnce = 120

// Look implements intake.Instance.
func (q *Queue) Look(ctx context.Context, sysIDs []string) (map[string]intake.Standing, error) {
	found := make(map[string]intake.Standing, len(sysIDs))
	var mu sync.Mutex
	err := inChunks(ctx, sysIDs, lookAtOnce, func(ctx context.Context, chunk []string) error {
		p, err := q.Client.List(ctx, table, servicenow.Query{
			Where:  []servicenow.Condition{servicenow.In("sys_id", chunk...)},
			Fields: []string{"sys_id", "agent", "state", "sys_mod_count"}, Limit: len(chunk),
		})
		if err != nil {
			return err
		}
		if p.FilterDropped {
			// What is missing here may well be there: it must not pass for gone.
			return fault.New(fault.Unavailable, "look at", fmt.Sprintf("%d records of %s", len(chunk), table), servicenow.ErrFilterDropped).
				WithHint("let the agent's user read the columns sys_id, agent and state of ecc_queue")
		}
		mu.Lock()
		defer mu.Unlock()
		for _, r := range p.Records {
			found[r["sys_id"]] = intake.Standing{Agent: r["agent"], State: r["state"], ModCount: r.Int("sys_mod_count")}
		}
		return nil
	})
	return found, err
}

// inChunks calls do for parts of a list, several at a time; the client bounds
// how many are in flight. The first error ends the others and is returned.
func inChunks(ctx context.Context, list []string, size int, do func(context.Context, []string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for chunk := range slices.Chunk(list, size) {
		g.Go(func() error { return do(ctx, chunk) })
	}
	return g.Wait()
}
