package simulator

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed page.html page.css page.js
var assets embed.FS

// pageRows is how many records the page shows.
const pageRows = 50

// cellMax is how many characters of a value the page shows.
const cellMax = 200

type pageTable struct {
	Name    string
	Count   int
	Current bool
}

type pageData struct {
	Tables  []pageTable
	Table   string
	Filter  string
	Dropped []string
	Columns []string
	Rows    [][]string
	Total   int
	Agents  [][3]string // name, status, last refreshed
	Jobs    Jobs
	States  []string
	Stats   Stats
	Now     string
}

// servePage shows the queue, the agents and one table.
func (in *Instance) servePage(w http.ResponseWriter, r *http.Request) {
	tmpl, err := template.ParseFS(assets, "page.html")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	d := in.pageData(r.URL.Query().Get("table"), r.URL.Query().Get("q"))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = tmpl.Execute(w, d) // a client that left sees nothing
}

func (in *Instance) pageData(table, filter string) *pageData {
	d := &pageData{Table: table, Filter: filter, Jobs: in.Jobs(), Stats: in.Stats(), Now: in.opt.Now().UTC().Format(time.DateTime) + " UTC"}
	if _, ok := d.Stats.Records[table]; !ok {
		d.Table = "ecc_queue"
	}
	for s := range d.Jobs.Outputs {
		d.States = append(d.States, s)
	}
	slices.Sort(d.States)
	for name, n := range d.Stats.Records {
		d.Tables = append(d.Tables, pageTable{name, n, name == d.Table})
	}
	slices.SortFunc(d.Tables, func(a, b pageTable) int { return strings.Compare(a.Name, b.Name) })
	in.mu.RLock()
	defer in.mu.RUnlock()
	s := in.st
	s.tables["ecc_agent"].each(func(r *row) bool {
		d.Agents = append(d.Agents, [3]string{r.get("name"), r.get("status"), r.get("last_refreshed")})
		return true
	})
	t := s.tables[d.Table]
	cols := pageColumns(t)
	for _, i := range cols {
		d.Columns = append(d.Columns, t.cols[i].Name)
	}
	rows := s.newest(t, filter, d)
	for _, r := range rows {
		cells := make([]string, 0, len(cols))
		for _, i := range cols {
			cells = append(cells, shorten(s.show(r, i, time.UTC)))
		}
		d.Rows = append(d.Rows, cells)
	}
	return d
}

// newest returns the newest records that match the filter, without sorting a
// backlog of a million: a table is kept in the order of creation.
func (s *store) newest(t *table, filter string, d *pageData) []*row {
	q := s.compile(filter, t, &viewer{name: system, zone: time.UTC})
	d.Dropped = q.dropped
	if len(t.children) > 0 || len(q.order) > 0 {
		sel := s.list(t, q, page{limit: pageRows})
		d.Total = sel.total
		return sel.rows
	}
	d.Total = -1
	if len(q.groups) == 0 {
		d.Total = t.count()
	}
	var out []*row
	for _, r := range slices.Backward(t.rows) {
		if r == nil || !q.match(s, r) {
			continue
		}
		if out = append(out, r); len(out) == pageRows {
			break
		}
	}
	return out
}

// pageColumns are the columns worth showing: those of the table first, then the
// bookkeeping.
func pageColumns(t *table) []int {
	var out []int
	if t.def.Name == "ecc_queue" {
		for _, n := range []string{"queue", "state", "agent", "topic", "name", "source", "priority", "sys_mod_count", "error_string", "response_to", "payload", "sys_updated_on", "sys_id"} {
			out = append(out, t.index[n])
		}
		return out
	}
	for i := colClass + 1; i < len(t.cols); i++ {
		out = append(out, i)
	}
	return append(out, colUpdatedOn, colUpdatedBy, colModCount, colID)
}

func shorten(v string) string {
	if s := cut(v, cellMax); len(s) < len(v) {
		return s + "…"
	}
	return v
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/simulator/")
	b, err := assets.ReadFile(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := "text/css; charset=utf-8"
	if strings.HasSuffix(name, ".js") {
		kind = "text/javascript; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(b) //nolint:gosec // an embedded file, chosen by name among two
}

// serveEvents tells the page, at most once a second, that something changed.
func (in *Instance) serveEvents(w http.ResponseWriter, r *http.Request) {
	f, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "streaming is not possible here", http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 1; ; n++ {
		changed := in.feed.wait()
		if _, err := fmt.Fprintf(w, "data: %d\n\n", n); err != nil {
			return
		}
		f.Flush()
		pause := make(chan struct{})
		in.after(time.Second, func() { close(pause) })
		for _, c := range []<-chan struct{}{pause, changed} {
			select {
			case <-c:
			case <-r.Context().Done():
				return
			case <-in.done:
				return
			}
		}
	}
}
