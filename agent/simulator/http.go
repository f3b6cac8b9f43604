package simulator

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ServeHTTP answers one request as the instance. Paths under /simulator and the
// page at / belong to the simulator itself; no fault touches them.
func (in *Instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" || r.URL.Path == "/simulator" || strings.HasPrefix(r.URL.Path, "/simulator/") {
		in.serveOwn(w, r)
		return
	}
	in.hits.count(r.Method, r.URL.Path)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, in.opt.MaxBody))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			in.send(w, r, failure(http.StatusRequestEntityTooLarge, "Request entity too large", "Maximum is "+strconv.FormatInt(in.opt.MaxBody, 10)+" bytes"))
			return
		}
		panic(http.ErrAbortHandler) // the client is gone; net/http drops the connection silently
	}
	c := &call{method: r.Method, path: r.URL.Path, header: r.Header, body: body, origin: origin(r)}
	if r.URL.RawQuery != "" {
		c.query = r.URL.Query()
	}
	ck := readCookies(r)
	in.send(w, r, in.withFaults(c, func() *reply { return in.serve(c, ck) }))
}

func origin(r *http.Request) string {
	if r.TLS != nil || r.URL.Scheme == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// serve answers a request that no fault touched.
func (in *Instance) serve(c *call, ck cookies) *reply {
	switch {
	case c.path == "/oauth_token.do":
		return in.auth.tokenEndpoint(c)
	case c.path == "/login.do":
		return loginPage()
	case strings.HasPrefix(c.path, "/api/"):
		return in.serveAPI(c, ck)
	case strings.HasSuffix(c.path, ".do"):
		if _, _, bad := in.auth.authenticate(c.header, ck); bad != nil && bad.header.Get("X-Is-Logged-In") != "true" {
			return (&reply{code: http.StatusFound}).set("Location", c.origin+"/login.do")
		}
		return htmlReply(http.StatusOK, "<!DOCTYPE html><html><head><title>ServiceNow</title></head><body></body></html>")
	}
	return htmlReply(http.StatusNotFound, "<!DOCTYPE html><html><head><title>Page not found</title></head><body>Page not found</body></html>")
}

func (in *Instance) serveAPI(c *call, ck cookies) *reply {
	user, sess, bad := in.auth.authenticate(c.header, ck)
	if bad != nil {
		return bad
	}
	c.user = user
	fresh := sess == nil
	if fresh {
		sess = in.auth.newSession(user)
	}
	if !in.enter(sess) {
		return &reply{code: http.StatusAccepted} // dropped: the session has too many requests waiting
	}
	defer sess.leave()
	out := in.api(c)
	if fresh {
		sess.setCookies(out, in.opt.SessionLifetime)
	}
	return out.set("X-Is-Logged-In", "true")
}

// gzipMin is the size in bytes from which a body is compressed.
const gzipMin = 8 << 10

// send writes a reply to the connection. A truncated one promises its whole
// length, sends half and cuts the connection.
func (in *Instance) send(w http.ResponseWriter, r *http.Request, out *reply) {
	h := w.Header()
	for k, v := range out.header {
		if k != cutHeader {
			h[k] = v
		}
	}
	h.Set("Server", "snow_adc")
	h.Set("X-Transaction-ID", in.transactionID())
	h.Set("Server-Timing", `sem_wait;dur=0, sesh_wait;dur=0`)
	h.Set("Cache-Control", "no-cache,no-store,must-revalidate,max-age=-1")
	h.Set("X-Content-Type-Options", "nosniff")
	if _, cutIt := out.header[cutHeader]; cutIt {
		h.Set("Content-Length", strconv.Itoa(len(out.body)))
		w.WriteHeader(out.code)
		_, _ = w.Write(out.body[:len(out.body)/2]) // the connection is cut in any case
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	if !in.opt.NoGzip && len(out.body) >= gzipMin && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(out.code)
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
		_, _ = z.Write(out.body)                       // a client that left sees nothing
		_ = z.Close()
		return
	}
	if out.code != http.StatusNoContent && out.code != http.StatusFound {
		h.Set("Content-Length", strconv.Itoa(len(out.body)))
	}
	w.WriteHeader(out.code)
	if r.Method != http.MethodHead && out.code != http.StatusNoContent {
		_, _ = w.Write(out.body) // a client that left sees nothing
	}
}

func (in *Instance) transactionID() string {
	n := in.hits.total()
	id := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, 12-len(id))) + id
}

func loginPage() *reply {
	return htmlReply(http.StatusOK, `<!DOCTYPE html><html><head><title>Log in | ServiceNow</title></head><body>`+
		`<form action="/login.do" method="post"><input name="user_name"><input name="user_password" type="password"></form></body></html>`)
}
