package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Result is how a check ended.
type Result string

// The results.
const (
	OK   Result = "ok"
	Warn Result = "warn" // it works, but something should be done
	Fail Result = "fail" // the agent cannot work like this
	Skip Result = "skip" // it could not be checked, and Why says why
)

// Finding is what one check found.
type Finding struct {
	Check   string `json:"check"`             // its name: "dns", "ecc-read"
	Subject string `json:"subject,omitempty"` // the instance; empty: this machine
	Result  Result `json:"result"`
	Why     string `json:"why"`
	Remedy  string `json:"remedy,omitempty"` // set for warn and fail
	Millis  int64  `json:"milliseconds"`
}

// Report is what all checks found, in their order.
type Report struct {
	Findings []Finding `json:"findings"`
	OK       int       `json:"ok"`
	Warn     int       `json:"warn"`
	Fail     int       `json:"fail"`
	Skip     int       `json:"skip"`
}

// Answer is what a check's function says.
type Answer struct {
	Result Result
	Why    string
	Remedy string
}

// Check is one question.
type Check struct {
	Name    string // lower-case words with hyphens
	Subject string
	// Needs names earlier checks of the same subject that must not have failed
	// or been skipped.
	Needs []string
	// Run answers. It honors its context.
	Run func(ctx context.Context) Answer
}

// timeout bounds one check.
const timeout = 60 * time.Second

// Run makes the checks in their order and calls each, when it is not nil, with
// every finding as it is found. Secrets must be hidden by redact, which may be
// nil. After ctx ended, what is left is skipped.
func Run(ctx context.Context, checks []Check, redact func(string) string, each func(Finding)) Report {
	if redact == nil {
		redact = func(s string) string { return s }
	}
	var r Report
	bad := map[[2]string]bool{}
	for _, c := range checks {
		f := c.find(ctx, bad)
		f.Why, f.Remedy = redact(f.Why), redact(f.Remedy)
		if f.Result == Fail || f.Result == Skip {
			bad[[2]string{c.Subject, c.Name}] = true
		}
		r.count(f)
		if each != nil {
			each(f)
		}
	}
	return r
}

func (r *Report) count(f Finding) {
	r.Findings = append(r.Findings, f)
	switch f.Result {
	case OK:
		r.OK++
	case Warn:
		r.Warn++
	case Fail:
		r.Fail++
	default:
		r.Skip++
	}
}

func (c Check) find(ctx context.Context, bad map[[2]string]bool) Finding {
	f := Finding{Check: c.Name, Subject: c.Subject}
	if ctx.Err() != nil {
		f.Result, f.Why = Skip, "interrupted"
		return f
	}
	var missing []string
	for _, n := range c.Needs {
		if bad[[2]string{c.Subject, n}] {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		f.Result, f.Why = Skip, "it needs "+strings.Join(missing, " and ")
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	a := c.answer(ctx)
	f.Result, f.Why, f.Remedy = a.Result, a.Why, a.Remedy
	f.Millis = time.Since(began).Milliseconds()
	return f
}

// answer runs the check. A defect in one must not hide what the others find.
func (c Check) answer(ctx context.Context) (a Answer) {
	defer func() {
		if v := recover(); v != nil {
			a = Answer{Fail, fmt.Sprintf("the check ran into a defect: %v", v), "report this defect"}
		}
	}()
	return c.Run(ctx)
}

func ok(format string, args ...any) Answer { return Answer{OK, fmt.Sprintf(format, args...), ""} }

func skip(why string) Answer { return Answer{Skip, why, ""} }

// failed turns an error into an answer; its hint is the remedy.
func failed(err error, remedy string) Answer {
	if hint := fault.HintOf(err); hint != "" {
		remedy = hint
	}
	return Answer{Fail, err.Error(), remedy}
}
