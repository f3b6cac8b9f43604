package simulator

import (
	"strings"
	"sync"
)

// hits counts requests by route.
type hits struct {
	mu  sync.Mutex
	by  map[[2]string]uint64
	all uint64
}

func newHits() *hits { return &hits{by: map[[2]string]uint64{}} }

// maxRoutes bounds the routes that are told apart: a client may ask for any path.
const maxRoutes = 1000

func (h *hits) count(method, path string) {
	key := [2]string{method, pattern(path)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all++
	if _, known := h.by[key]; !known && len(h.by) >= maxRoutes {
		key = [2]string{"", "other"}
	}
	h.by[key]++
}

func (h *hits) total() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

// pattern puts {id} for a sys_id in a path.
func pattern(path string) string {
	i := strings.LastIndexByte(path, '/')
	if last := path[i+1:]; isID(last) {
		return path[:i+1] + "{id}"
	}
	if head, ok := strings.CutSuffix(path, "/file"); ok {
		if i = strings.LastIndexByte(head, '/'); isID(head[i+1:]) {
			return head[:i+1] + "{id}/file"
		}
	}
	return path
}

func isID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Stats is what the instance has seen.
type Stats struct {
	Requests      uint64            `json:"requests"` // items of batches included
	Routes        map[string]uint64 `json:"routes"`   // "GET /api/now/table/ecc_queue"
	Records       map[string]int    `json:"records"`  // by table
	EventsDropped uint64            `json:"events_dropped"`
}

// Stats counts requests and records.
func (in *Instance) Stats() Stats {
	out := Stats{Routes: map[string]uint64{}, Records: map[string]int{}}
	in.hits.mu.Lock()
	out.Requests = in.hits.all
	for k, n := range in.hits.by {
		out.Routes[strings.TrimSpace(k[0]+" "+k[1])] = n
	}
	in.hits.mu.Unlock()
	in.mu.RLock()
	for name, t := range in.st.tables {
		out.Records[name] = len(t.byID)
	}
	in.mu.RUnlock()
	in.feed.mu.Lock()
	out.EventsDropped = in.feed.dropped
	in.feed.mu.Unlock()
	return out
}

// Hits is the number of requests for a route, as in Stats.Routes; sys_ids in
// paths read {id}.
func (in *Instance) Hits(method, path string) uint64 {
	in.hits.mu.Lock()
	defer in.hits.mu.Unlock()
	return in.hits.by[[2]string{method, path}]
}

// Jobs is the state of the work of all agents.
type Jobs struct {
	Outputs  map[string]int `json:"outputs"`  // by state
	Inputs   int            `json:"inputs"`   // that answer an output
	Answered int            `json:"answered"` // outputs with at least one input
	Repeated int            `json:"repeated"` // outputs with more than one input
	Unasked  int            `json:"unasked"`  // inputs that name no output that exists
}

// Jobs counts the outputs of the ECC queue and the inputs that answer them.
func (in *Instance) Jobs() Jobs {
	in.mu.RLock()
	defer in.mu.RUnlock()
	t := in.st.tables["ecc_queue"]
	out := Jobs{Outputs: map[string]int{}}
	for k, b := range t.ecc.buckets {
		if k.queue == "output" {
			out.Outputs[k.state] += b.n
		}
	}
	for id, answers := range t.ecc.answers {
		out.Inputs += len(answers)
		if r := t.byID[id]; r == nil || r.get("queue") != "output" {
			out.Unasked += len(answers)
			continue
		}
		out.Answered++
		if len(answers) > 1 {
			out.Repeated++
		}
	}
	return out
}
