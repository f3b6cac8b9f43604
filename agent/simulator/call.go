package simulator

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// call is one request to an API, from the network or out of a batch.
type call struct {
	method string
	path   string
	query  url.Values
	header http.Header
	body   []byte
	origin string // scheme and host, for links
	user   *account
	batch  bool // the call is an item of a batch
}

// reply is the answer to a call.
type reply struct {
	code   int
	header http.Header
	body   []byte
}

func (r *reply) set(key, value string) *reply {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set(key, value)
	return r
}

const (
	typeJSON = "application/json;charset=UTF-8"
	typeHTML = "text/html;charset=UTF-8"
)

func jsonReply(code int, body []byte) *reply {
	return (&reply{code: code, body: body}).set("Content-Type", typeJSON)
}

func htmlReply(code int, body string) *reply {
	return (&reply{code: code, body: []byte(body)}).set("Content-Type", typeHTML)
}

// failure is the documented error envelope. An empty detail becomes null.
func failure(code int, message, detail string) *reply {
	return jsonReply(code, errorBody(message, detail))
}

func errorBody(message, detail string) []byte {
	return append(append([]byte{'{'}, errorMembers(message, detail)...), '}')
}

func errorMembers(message, detail string) []byte {
	b := appendString([]byte(`"error":{"message":`), message)
	b = append(b, `,"detail":`...)
	if detail == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, detail)
	}
	return append(b, `},"status":"failure"`...)
}

func noRecord() *reply {
	return failure(http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
}

func denied(verb string) *reply {
	return failure(http.StatusForbidden, "Operation Failed", "ACL Exception "+verb+" Failed due to security constraints")
}

func notAllowed(method string) *reply {
	return failure(http.StatusMethodNotAllowed, "Method not supported", "Method "+method+" is not supported for this resource")
}

func noResource(path string) *reply {
	return failure(http.StatusBadRequest, "Requested URI does not represent any resource", path)
}

// flag reads a boolean parameter.
func (c *call) flag(name string) bool { return c.query.Get(name) == "true" }

// number reads a parameter that must not be negative; what cannot be read counts
// as def. It is bounded so that sums of two do not overflow.
func (c *call) number(name string, def int) int {
	n, err := strconv.Atoi(c.query.Get(name))
	if err != nil || n < 0 {
		return def
	}
	return min(n, math.MaxInt32)
}

// route cuts the path of an API call: /api/now/v2/table/x gives "v2" and
// ["table" "x"].
func route(path string) (version string, parts []string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/api/now/")
	if !ok {
		return "", nil, false
	}
	parts = strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if parts[0] == "v1" || parts[0] == "v2" {
		version, parts = parts[0], parts[1:]
	}
	return version, parts, len(parts) > 0
}

// checkHeaders enforces the documented rules for Accept and Content-Type.
func (in *Instance) checkHeaders(c *call) *reply {
	accept := c.header.Get("Accept")
	switch {
	case accept == "" && !in.opt.LenientHeaders:
		return failure(http.StatusBadRequest, "Missing Accept header", "The header Accept is required")
	case accept != "" && !strings.Contains(accept, "json") && !strings.Contains(accept, "*/*") && !strings.Contains(accept, "application/*"):
		return failure(http.StatusNotAcceptable, "Not acceptable", "Response content type "+accept+" is not supported")
	}
	if len(c.body) == 0 {
		return nil
	}
	switch c.method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil
	}
	kind := c.header.Get("Content-Type")
	switch {
	case kind == "" && !in.opt.LenientHeaders:
		return failure(http.StatusBadRequest, "Missing Content-Type header", "The header Content-Type is required")
	case kind != "" && !strings.HasPrefix(kind, "application/json"):
		return failure(http.StatusUnsupportedMediaType, "Unsupported media type", "Request content type "+kind+" is not supported")
	}
	return nil
}

// api answers an authenticated call.
func (in *Instance) api(c *call) *reply {
	if m := c.header.Get("X-HTTP-Method-Override"); m != "" && c.method == http.MethodPost {
		c.method = strings.ToUpper(m)
	}
	version, parts, ok := route(c.path)
	if !ok {
		return noResource(c.path)
	}
	switch parts[0] {
	case "table":
		if bad := in.checkHeaders(c); bad != nil {
			return bad
		}
		return in.tableAPI(c, version, parts[1:])
	case "attachment":
		return in.attachmentAPI(c, version, parts[1:])
	case "batch":
		if version != "" && len(parts) == 1 && !c.batch && !in.opt.RefuseBatch {
			return in.batchAPI(c)
		}
	}
	return noResource(c.path)
}
