package main

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-agent/sallyport/agent/control"
)

func (a *app) showJob(w io.Writer, d control.Detail) error {
	var f facts
	f.add("job", d.ID)
	f.add("state", d.State)
	f.add("result", d.Result)
	f.add("why", d.Why)
	f.add("topic", d.Topic)
	f.add("action", d.Action)
	f.add("effect", d.Effect)
	f.add("target", d.Target)
	f.add("name", d.Name)
	f.add("source", d.Source)
	f.add("pool", d.Pool)
	f.add("agent", d.Agent)
	f.add("correlator", d.Correlator)
	f.add("attempt", strconv.Itoa(d.Attempt))
	f.add("created", a.moment(d.Created))
	f.add("received", a.moment(d.Received))
	f.add("started", a.moment(d.Started))
	f.add("changed", a.moment(d.Changed))
	f.add("until", stamp(d.Until))
	f.add("sent", a.moment(d.Sent))
	f.add("report", d.Report)
	for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
		f.add("  "+name, d.Parameters[name])
	}
	return f.write(w)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func (a *app) moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t) + " (" + ago(a.now(), t) + " ago)"
}
