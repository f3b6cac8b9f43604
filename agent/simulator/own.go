package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// serveOwn answers the simulator's own paths: the page for people, and the
// endpoints by which another process scripts the instance.
func (in *Instance) serveOwn(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	readOnly := r.Method == http.MethodGet || r.Method == http.MethodHead
	page := r.URL.Path == "/" || r.URL.Path == "/simulator/page.css" || r.URL.Path == "/simulator/page.js" || r.URL.Path == "/simulator/events"
	if (!page || !readOnly || !local(r)) && !in.isAdmin(r) {
		h.Set("WWW-Authenticate", `Basic realm="simulator"`)
		http.Error(w, "log in as a user with the role admin", http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/":
		in.servePage(w, r)
	case "/simulator/page.css", "/simulator/page.js":
		serveAsset(w, r)
	case "/simulator/events":
		in.serveEvents(w, r)
	case "/simulator/faults":
		in.serveFaults(w, r)
	case "/simulator/jobs":
		in.serveJobs(w, r)
	case "/simulator/stats":
		if readOnly {
			writeJSON(w, in.Stats())
			return
		}
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
	default:
		http.NotFound(w, r)
	}
}

// isAdmin checks Basic credentials of an admin. The gate for interactive users
// does not hold here: these paths do not exist on a real instance.
func (in *Instance) isAdmin(r *http.Request) bool {
	name, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	u := in.auth.check(name, password)
	return u != nil && u.admin
}

// local reports whether a request comes from this host and names it as such, so
// that no web page can read the simulator through a name that it controls.
func local(r *http.Request) bool {
	if r.RemoteAddr == "" {
		return true // Transport
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return isLoopback(from) && (host == "localhost" || isLoopback(strings.Trim(host, "[]")))
}

func isLoopback(s string) bool {
	ip := net.ParseIP(s)
	return ip != nil && ip.IsLoopback()
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that left sees nothing
}

// readJSON decodes a strict JSON body of at most MaxBody bytes. The content type
// is required, so that no form on a web page can post it.
func (in *Instance) readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		http.Error(w, "the content type must be application/json", http.StatusUnsupportedMediaType)
		return false
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, in.opt.MaxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// serveFaults lists (GET), adds (POST an array) or removes (DELETE, one by ?id=,
// else all) fault rules.
func (in *Instance) serveFaults(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		writeJSON(w, in.faults.List())
	case http.MethodPost:
		var rules []Fault
		if !in.readJSON(w, r, &rules) {
			return
		}
		ids, err := in.faults.Add(rules...)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, ids)
	case http.MethodDelete:
		if id := r.URL.Query().Get("id"); id == "" {
			in.faults.Clear()
		} else if !in.faults.Remove(id) {
			http.Error(w, "no such fault", http.StatusNotFound)
			return
		}
		writeJSON(w, in.faults.List())
	default:
		http.Error(w, "only GET, POST, DELETE", http.StatusMethodNotAllowed)
	}
}

// JobOrder asks for many outputs at once, over /simulator/jobs.
type JobOrder struct {
	Output
	// Count is how many; 1 when zero, a million at most. In Name, Source, Payload and
	// Correlator "{n}" stands for the number of the output, from 1 on.
	Count int `json:"count"`
}

const maxOrder = 1_000_000

// expand makes the outputs of an order.
func (o *JobOrder) expand() ([]Output, error) {
	if o.Count < 0 || o.Count > maxOrder {
		return nil, fmt.Errorf("count %d: at most %d", o.Count, maxOrder)
	}
	if o.Agent == "" || o.Topic == "" {
		return nil, errors.New("agent and topic are required")
	}
	outs := make([]Output, 0, max(o.Count, 1))
	for n := range max(o.Count, 1) {
		out := o.Output
		if n > 0 {
			out.SysID = ""
		}
		rep := strings.NewReplacer("{n}", strconv.Itoa(n+1))
		for _, p := range []*string{&out.Name, &out.Source, &out.Payload, &out.Correlator} {
			if strings.Contains(*p, "{n}") {
				*p = rep.Replace(*p)
			}
		}
		outs = append(outs, out)
	}
	return outs, nil
}

// serveJobs counts the work (GET) or enqueues it (POST an array of JobOrder).
func (in *Instance) serveJobs(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		writeJSON(w, in.Jobs())
	case http.MethodPost:
		var orders []JobOrder
		if !in.readJSON(w, r, &orders) {
			return
		}
		var ids []string
		for i := range orders {
			outs, err := orders[i].expand()
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			ids = append(ids, in.PutOutputs(outs)...)
		}
		writeJSON(w, ids)
	default:
		http.Error(w, "only GET, POST", http.StatusMethodNotAllowed)
	}
}
