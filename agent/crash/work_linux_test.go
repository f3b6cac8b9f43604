package crash_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// job is one output and what must come of it.
type job struct {
	id      string
	kind    kind
	mark    string // its line in the effects file; "" where it has none
	lines   int    // of output
	code    int
	put     time.Time
	reports int  // how many it must get
	away    bool // given to another agent for the time being
	moved   bool // was given away once
	touched bool // something was done to it after it was put
	done    bool // seen answered and processed
}

// kind is a kind of work.
type kind string

const (
	echo      kind = "echo"
	attached  kind = "payload in an attachment"
	appends   kind = "append" // runs in the agent, at most once
	held      kind = "held"
	refused   kind = "held, canceled"
	wandering kind = "held, moved away and back"
	waits     kind = "wait"
	endless   kind = "wait, canceled"
	fails     kind = "fail"
	denied    kind = "denied"
	unserved  kind = "unserved"
	malformed kind = "malformed"
	command   kind = "command" // runs in the runner, at most once
)

// wants is the result that a kind of work must end with.
func (k kind) wants() string {
	switch k {
	case refused, endless:
		return "canceled"
	case fails, unserved, malformed:
		return "failed"
	case denied:
		return "denied"
	default:
		return "succeeded"
	}
}

// put puts a job into the queue of the instance.
func (s *site) put(k kind, o simulator.Output, j job) *job {
	o.Agent, o.Priority = me, []string{"0", "1", "2"}[s.rng.IntN(3)]
	j.kind, j.reports, j.put = k, 1, time.Now()
	j.id = s.inst.PutOutput(o)
	if k == appends || k == held || k == refused || k == wandering {
		j.mark = "sim/" + j.id
	}
	s.jobs = append(s.jobs, &j)
	s.byID[j.id] = &j
	return &j
}

func payload(pairs ...string) string {
	var b strings.Builder
	b.WriteString("<parameters>")
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;")
	pairs = append(pairs, "skip_sensor", "true")
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, `<parameter name="%s" value="%s"/>`, pairs[i], escape.Replace(pairs[i+1]))
	}
	return b.String() + "</parameters>"
}

func (s *site) native(k kind, action, params string) *job {
	return s.put(k, simulator.Output{Topic: "Sallyport", Name: action, Payload: payload("params", params)}, job{})
}

// command puts a program that prints so many lines on both streams.
func (s *site) command(lines int, seconds float64) {
	j := job{mark: fmt.Sprintf("command-%d-%d", s.number, len(s.jobs)), lines: lines, code: s.rng.IntN(3)}
	text := fmt.Sprintf("%s %s %d %d %.2f", s.script, j.mark, j.lines, j.code, seconds)
	s.put(command, simulator.Output{Topic: "Command", Name: text, Payload: payload()}, j)
}

// output is what a command prints on standard output.
func (j *job) output() string {
	return j.errors() + "end of " + j.mark + "\n"
}

// errors is what it prints on standard error.
func (j *job) errors() string {
	var b strings.Builder
	for i := 1; i <= j.lines; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// feed puts a round's work into the queue: something of every kind, and what
// makes an agent pass a point.
func (s *site) feed(round int, point string) {
	s.native(echo, "diag.echo", `{"text":"hello"}`)
	s.native(appends, "diag.append", `{}`)
	s.native(appends, "diag.append", fmt.Sprintf(`{"seconds":"%.2f"}`, 0.02+s.rng.Float64()/2))
	s.native(held, "diag.append", `{"seconds":"0.01"}`)
	s.native(waits, "diag.wait", `{"times":2,"seconds":0.2}`)
	s.native(fails, "diag.fail", `{"kind":"outcome","message":"the mailbox is full"}`)
	s.put(denied, simulator.Output{Topic: "Command", Name: "/bin/rm -rf /var/lib/app", Payload: payload()}, job{})
	s.command(3, s.rng.Float64()/2)
	needs := func(name string, every int) bool {
		return strings.HasPrefix(point, name) || (round+s.number)%every == 0
	}
	if needs("queue.claimed>finished", 4) {
		s.put(unserved, simulator.Output{Topic: "HorizontalDiscoveryProbe", Name: "pattern", Payload: payload()}, job{})
		s.put(malformed, simulator.Output{Topic: "Command", Name: "x", Payload: "<parameters><parameter"}, job{})
	}
	if needs("queue.held>finished", 4) || needs("queue.mark.seen", 4) {
		s.native(refused, "diag.append", `{"seconds":"0.01"}`)
	}
	if needs("queue.held>released", 4) || needs("queue.received>released", 4) {
		s.native(wandering, "diag.append", `{"seconds":"0.01"}`)
	}
	if needs("queue.waiting>finished", 4) {
		s.native(endless, "diag.wait", `{"times":1,"seconds":3600}`)
	}
	if needs("intake.payload", 4) {
		s.attachedEcho()
	}
	if round%4 == 1 {
		s.command(20_000, 0.2) // about 100 KB on each stream
	}
	if needs("delivery.attach", 8) || needs("queue.spool", 8) {
		s.command(240_000, 0.1) // about 1.5 MB on each stream
	}
}

// attachedEcho puts a job whose payload is an attachment.
func (s *site) attachedEcho() {
	j := s.put(attached, simulator.Output{Topic: "Sallyport", Name: "diag.echo", Payload: "<see_attachment/>"}, job{})
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost,
		"http://instance/api/now/attachment/file?table_name=ecc_queue&table_sys_id="+j.id+"&file_name=payload.txt",
		strings.NewReader(payload("params", `{"text":"from the attachment"}`)))
	if err != nil {
		s.Fatal(err)
	}
	req.SetBasicAuth("mid", "mid")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/xml")
	// A fault may hit this request as every other: then it is made again.
	for range 50 {
		resp, err := s.inst.Transport().RoundTrip(req.Clone(s.Context()))
		if err == nil {
			resp.Body.Close()
		}
		if len(s.inst.Attachments(j.id)) > 0 {
			return
		}
		req.Body, _ = req.GetBody()
	}
	s.Fatal("the payload could not be attached")
}
