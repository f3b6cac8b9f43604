package demo

import (
	"os"
	"strings"
	"sync"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// Count is what the instance's side shows.
type Count struct {
	Jobs      int `json:"jobs"`  // outputs that were put
	Taken     int `json:"taken"` // of them, those that the agent took
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	Denied    int `json:"denied"`
	Unknown   int `json:"unknown"`
	// Lost counts jobs that were taken and not answered, and jobs that say that
	// they succeeded and left no effect.
	Lost int `json:"lost"`
	// Doubled counts jobs whose effect happened more than once.
	Doubled int `json:"doubled"`
	// Repeated counts jobs that were reported more than once.
	Repeated int `json:"repeated"`
}

// Open returns how many jobs still wait for their report.
func (c Count) Open() int { return c.Jobs - c.Delivered }

// Good reports whether the promises held.
func (c Count) Good() bool { return c.Lost == 0 && c.Doubled == 0 && c.Repeated == 0 && c.Open() == 0 }

// Book knows what was put into the queue, and counts what came of it.
type Book struct {
	inst *simulator.Instance
	site *Site

	mu    sync.Mutex
	order []string
	put   map[string]entry
}

type entry struct {
	kind Kind
	mark string // what the job writes into the effects file
}

// NewBook returns an empty Book.
func NewBook(inst *simulator.Instance, site *Site) *Book {
	return &Book{inst: inst, site: site, put: map[string]entry{}}
}

// Put puts a job into the queue.
func (b *Book) Put(o simulator.Output, k Kind) string {
	id := b.inst.PutOutput(o)
	mark := AgentName + "/" + id // a native job writes its id
	if strings.HasPrefix(o.Name, b.site.Script+" ") && b.site.Script != "" {
		mark = strings.TrimPrefix(o.Name, b.site.Script+" ")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order = append(b.order, id)
	b.put[id] = entry{kind: k, mark: mark}
	return id
}

// Count counts, from the instance's records and the effects file alone.
func (b *Book) Count() Count {
	b.mu.Lock()
	defer b.mu.Unlock()
	effects := b.effects()
	reports := b.reports()
	c := Count{Jobs: len(b.order)}
	for _, id := range b.order {
		e := b.put[id]
		texts := reports[id]
		state := b.inst.Record("ecc_queue", id)["state"]
		if state != "ready" {
			c.Taken++
		}
		result := ""
		if len(texts) > 0 {
			c.Delivered++
			result = resultOf(texts[0])
		}
		if len(texts) > 1 {
			c.Repeated++
		}
		switch result {
		case "failed", "expired", "canceled":
			c.Failed++
		case "denied":
			c.Denied++
		case "unknown":
			c.Unknown++
		case "succeeded":
			if e.kind.Effect && effects[e.mark] == 0 {
				c.Lost++
			}
		}
		if state == "processed" && len(texts) == 0 {
			c.Lost++
		}
		if e.kind.Effect && effects[e.mark] > 1 {
			c.Doubled++
		}
	}
	return c
}

// effects counts the lines of the effects file.
func (b *Book) effects() map[string]int {
	counts := map[string]int{}
	data, err := os.ReadFile(b.site.Effects)
	if err != nil {
		return counts // nothing had an effect yet
	}
	for line := range strings.Lines(string(data)) {
		counts[strings.TrimSpace(line)]++
	}
	return counts
}

// reports returns the payloads of the inputs that answer each output.
func (b *Book) reports() map[string][]string {
	found := map[string][]string{}
	rows, err := b.inst.Query("ecc_queue", "queue=input^response_toISNOTEMPTY")
	if err != nil {
		return found
	}
	for _, r := range rows {
		found[r["response_to"]] = append(found[r["response_to"]], r["payload"])
	}
	return found
}

// resultOf reads the parameter by which every report says what it reports.
func resultOf(payload string) string {
	_, rest, ok := strings.Cut(payload, `<parameter name="sallyport_result" value="`)
	if !ok {
		return ""
	}
	result, _, _ := strings.Cut(rest, `"`)
	return result
}
