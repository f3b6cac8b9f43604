package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

type server struct {
	Options
	readers chan struct{}
}

// onceError returns f made to run once; later calls return nil.
func onceError(f func() error) func() error {
	var once sync.Once
	return func() (err error) {
		once.Do(func() { err = f() })
		return err
	}
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	read := func(route string, f func(ctx context.Context, q url.Values) (any, error)) {
		mux.Handle("GET "+route, s.guard(func(w http.ResponseWriter, r *http.Request, _ peer) error {
			ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
			defer cancel()
			v, err := f(ctx, r.URL.Query())
			if err != nil {
				return err
			}
			return s.answer(w, v)
		}))
	}
	read("/status", func(ctx context.Context, _ url.Values) (any, error) { return s.Agent.Status(ctx), nil })
	read("/jobs", s.jobs)
	read("/job", byID(s.Agent.Job))
	read("/explain", byID(s.Agent.Explain))
	mux.Handle("GET /hello", s.guard(s.hello))
	mux.Handle("GET /output", s.guard(s.output))
	s.changes(mux)
	mux.Handle("/", s.guard(func(_ http.ResponseWriter, r *http.Request, _ peer) error {
		return fault.New(fault.Invalid, "answer", r.Method+" "+r.URL.Path, errors.New("this agent knows no such request")).
			WithHint("use the sallyport program of the agent's own version")
	}))
	return mux
}

func (s *server) changes(mux *http.ServeMux) {
	post := func(route string, f func(ctx context.Context, c change, by string) (string, error)) {
		mux.Handle("POST "+route, s.guard(func(w http.ResponseWriter, r *http.Request, p peer) error {
			if !p.admin {
				return fault.New(fault.Denied, "change something as", p.account, errors.New("members of the group may only read")).
					WithHint("run the command as an administrator: with sudo, or from an elevated prompt")
			}
			c, err := readChange(w, r)
			if err != nil {
				return err
			}
			// A change that was accepted is carried through though its caller
			// goes away: half of one would be worse.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), changeWindow)
			defer cancel()
			id, err := f(ctx, c, p.account)
			if err != nil {
				return err
			}
			return s.answer(w, changed{ID: id})
		}))
	}
	onJob := func(f func(ctx context.Context, c change, by string) (string, error)) func(context.Context, change, string) (string, error) {
		return func(ctx context.Context, c change, by string) (string, error) {
			if err := checkID(c.ID); err != nil {
				return "", err
			}
			return f(ctx, c, by)
		}
	}
	a := s.Agent
	post("/cancel", onJob(func(ctx context.Context, c change, by string) (string, error) { return "", a.Cancel(ctx, c.ID, by) }))
	post("/approve", onJob(func(ctx context.Context, c change, by string) (string, error) { return "", a.Approve(ctx, c.ID, by) }))
	post("/retry", onJob(func(ctx context.Context, c change, by string) (string, error) {
		return a.Retry(ctx, c.ID, by, c.Force)
	}))
	post("/pause", func(ctx context.Context, c change, by string) (string, error) { return "", a.Pause(ctx, c.Note, by) })
	post("/drain", func(ctx context.Context, c change, by string) (string, error) { return "", a.Drain(ctx, c.Note, by) })
	post("/resume", func(ctx context.Context, _ change, by string) (string, error) { return "", a.Resume(ctx, by) })
}

// guard is around every request: who calls, which protocol, how many at once,
// and what becomes of errors and panics.
func (s *server) guard(f func(http.ResponseWriter, *http.Request, peer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(protocolHeader, strconv.Itoa(Protocol))
		w.Header().Set("Cache-Control", "no-store")
		s.extend(w)
		defer func() {
			if v := recover(); v != nil {
				s.recovered(w, r, v, debug.Stack())
			}
		}()
		p, err := peerOf(r.Context())
		if err == nil {
			err = checkProtocol(r.Header.Get(protocolHeader), "the caller")
		}
		if err == nil && !p.admin {
			select {
			case s.readers <- struct{}{}:
				defer func() { <-s.readers }()
			default:
				err = fault.New(fault.Unavailable, "answer", p.account, errors.New("too many requests are under way")).
					WithHint("try again in a moment")
			}
		}
		if err == nil {
			err = f(w, r, p)
		}
		if err != nil {
			s.fail(w, err)
		}
	})
}

// extend gives the caller time to read and write the next piece.
func (s *server) extend(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(changeWindow + answerTimeout)) // a connection without deadlines is not worth failing for
}

func (s *server) hello(w http.ResponseWriter, _ *http.Request, p peer) error {
	return s.answer(w, Hello{Protocol: Protocol, Version: s.Version, PID: os.Getpid(), Account: p.account, Admin: p.admin})
}

func (s *server) jobs(ctx context.Context, q url.Values) (any, error) {
	f := Filter{State: q.Get("state"), Result: q.Get("result"), Topic: q.Get("topic"), Instance: q.Get("instance")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > MaxJobs {
			return nil, fault.New(fault.Invalid, "list jobs with limit", strconv.Quote(shorten(text)), errors.New("out of bounds")).
				WithHint("use a limit from 1 to " + strconv.Itoa(MaxJobs))
		}
		f.Limit = n
	}
	list, err := s.Agent.Jobs(ctx, f)
	if list == nil {
		list = []Job{}
	}
	return list, err
}

func byID[T any](f func(context.Context, string) (T, error)) func(context.Context, url.Values) (any, error) {
	return func(ctx context.Context, q url.Values) (any, error) {
		id := q.Get("id")
		if err := checkID(id); err != nil {
			return nil, err
		}
		return f(ctx, id)
	}
}

// output streams a report. What goes wrong after the first byte cuts the answer
// off, so that the caller sees that it is incomplete.
func (s *server) output(w http.ResponseWriter, r *http.Request, _ peer) error {
	id := r.URL.Query().Get("id")
	if err := checkID(id); err != nil {
		return err
	}
	body, err := s.Agent.Output(r.Context(), id)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // it was only read
	w.Header().Set("Content-Type", "application/octet-stream")
	rc := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			s.extend(w)
			if _, err := w.Write(buf[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			if err := rc.Flush(); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			s.Log.Warn("the output of a job was cut off", "job", id, "error", s.Redact(err.Error()))
			panic(http.ErrAbortHandler)
		}
	}
}

func (s *server) answer(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fault.New(fault.Internal, "encode", "the answer", err).WithHint("report this defect")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data) // a caller who went away needs no answer
	return nil
}

func (s *server) fail(w http.ResponseWriter, err error) {
	data, failed := json.Marshal(wireError{Error: encodeError(err, s.Redact)})
	if failed != nil {
		data = []byte(`{"error":{"kind":"internal","message":"an error that cannot be encoded"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(fault.KindOf(err)))
	_, _ = w.Write(data) // as in answer
}

func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Denied:
		return http.StatusForbidden
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Conflict:
		return http.StatusConflict
	case fault.Timeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// readChange reads the one JSON object that a change is. What this version does
// not know is refused, for it would be left undone.
func readChange(w http.ResponseWriter, r *http.Request) (change, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(answerTimeout)) // as in extend
	var c change
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&c)
	if err == nil && d.More() {
		err = errors.New("more than one document")
	}
	_ = rc.SetReadDeadline(time.Time{})
	if err != nil {
		return c, fault.New(fault.Invalid, "read", "the request", err).
			WithHint("use the sallyport program of the agent's own version")
	}
	if len(c.Note) > maxNote || !printable(c.Note) {
		return c, fault.New(fault.Invalid, "read", "the note", errors.New("it is too long or holds control characters")).
			WithHint("use at most " + strconv.Itoa(maxNote) + " bytes of plain text on one line")
	}
	return c, nil
}

func checkID(id string) error {
	if id != "" && len(id) <= maxID && printable(id) {
		return nil
	}
	return fault.New(fault.Invalid, "read job id", strconv.Quote(shorten(id)), errors.New("malformed")).
		WithHint("use an id as `sallyport jobs list` prints it")
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func shorten(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "..."
	}
	return s
}
