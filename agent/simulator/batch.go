package simulator

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

type batchHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type batchItem struct {
	ID             string        `json:"id"`
	Method         string        `json:"method"`
	URL            string        `json:"url"`
	Headers        []batchHeader `json:"headers"`
	Body           string        `json:"body"`
	ExcludeHeaders bool          `json:"exclude_response_headers"`
}

type batchRequest struct {
	ID    string      `json:"batch_request_id"`
	Items []batchItem `json:"rest_requests"`
}

// batchAPI serves POST /api/now/v1/batch: items run one after the other in the
// caller's transaction. When the quota of the whole batch is used up, what has
// not begun is named in unserviced_requests (Batch API documentation).
func (in *Instance) batchAPI(c *call) *reply {
	if c.method != http.MethodPost {
		return notAllowed(c.method)
	}
	if bad := in.checkHeaders(c); bad != nil {
		return bad
	}
	var req batchRequest
	if err := json.Unmarshal(c.body, &req); err != nil {
		return failure(http.StatusBadRequest, "Exception while reading request", err.Error())
	}
	if req.ID == "" || req.Items == nil {
		return failure(http.StatusBadRequest, "Invalid batch request", "batch_request_id and rest_requests are required")
	}
	maxIn, maxOut := in.batchLimits(c)
	end := in.opt.Now().Add(in.opt.BatchQuota)
	b := appendString([]byte(`{"batch_request_id":`), req.ID)
	b = append(b, `,"serviced_requests":[`...)
	var left []string
	served := 0
	for i := range req.Items {
		if in.opt.Now().After(end) {
			left = append(left, req.Items[i].ID)
			continue
		}
		if served++; served > 1 {
			b = append(b, ',')
		}
		b = in.batchServe(b, c, &req.Items[i], maxIn, maxOut)
	}
	b = append(b, `],"unserviced_requests":[`...)
	for i, id := range left {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, id)
	}
	return jsonReply(http.StatusOK, append(b, `]}`...))
}

// batchLimits are the documented sizes of one item, in bytes.
func (in *Instance) batchLimits(c *call) (maxIn, maxOut int) {
	in.mu.RLock()
	defer in.mu.RUnlock()
	maxIn = int(in.st.propertyInt("glide.rest.batch.max.inputSize", 5)) << 20
	maxOut = int(in.st.propertyInt("glide.rest.batch.max.outputSize", 10)) << 20
	if n, err := strconv.Atoi(c.header.Get("X-Batchrequest-Max-Output-Size")); err == nil && n > 0 {
		maxOut = min(maxOut, n<<20)
	}
	return maxIn, maxOut
}

// batchServe runs one item and appends its entry of serviced_requests.
func (in *Instance) batchServe(b []byte, outer *call, it *batchItem, maxIn, maxOut int) []byte {
	begin := in.opt.Now()
	out := in.batchRun(outer, it, maxIn)
	message := ""
	if len(out.body) > maxOut {
		message = "Response body is larger than the maximum of " + strconv.Itoa(maxOut) + " bytes"
		out = failure(http.StatusInternalServerError, message, "")
	}
	b = append(b, `{"id":`...)
	b = appendString(b, it.ID)
	b = append(b, `,"body":"`...)
	b = base64.StdEncoding.AppendEncode(b, out.body)
	b = append(b, `","status_code":`...)
	b = strconv.AppendInt(b, int64(out.code), 10)
	b = append(b, `,"status_text":`...)
	b = appendString(b, http.StatusText(out.code))
	b = append(b, `,"headers":[`...)
	if !it.ExcludeHeaders {
		n := 0
		for k, v := range out.header {
			if n++; n > 1 {
				b = append(b, ',')
			}
			b = append(appendString(append(b, `{"name":`...), k), `,"value":`...)
			b = append(appendString(b, strings.Join(v, ",")), '}')
		}
	}
	b = append(b, `],"execution_time":`...)
	b = strconv.AppendInt(b, int64(in.opt.Now().Sub(begin)/time.Millisecond), 10)
	if message != "" {
		b = appendString(append(b, `,"error_message":`...), message)
	}
	return append(b, '}')
}

func (in *Instance) batchRun(outer *call, it *batchItem, maxIn int) *reply {
	body, err := base64.StdEncoding.DecodeString(it.Body)
	if err != nil {
		return failure(http.StatusBadRequest, "Exception while reading request", "body of request "+it.ID+" is not base64")
	}
	if len(body) > maxIn {
		return failure(http.StatusBadRequest, "Request body is larger than the maximum of "+strconv.Itoa(maxIn)+" bytes", "")
	}
	u, err := url.ParseRequestURI(it.URL)
	if err != nil || u.Host != "" {
		return noResource(it.URL)
	}
	c := &call{
		method: strings.ToUpper(it.Method), path: u.Path, header: http.Header{}, body: body,
		origin: outer.origin, user: outer.user, batch: true,
	}
	if u.RawQuery != "" {
		c.query = u.Query()
	}
	for _, h := range it.Headers {
		c.header.Set(h.Name, h.Value)
	}
	in.hits.count(c.method, c.path)
	return in.withFaults(c, func() *reply { return in.api(c) })
}
