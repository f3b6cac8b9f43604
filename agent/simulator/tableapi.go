package simulator

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// defaultLimit is the documented default of sysparm_limit.
const defaultLimit = 10000

// tableAPI routes /api/now/table/{table}[/{sys_id}].
func (in *Instance) tableAPI(c *call, version string, parts []string) *reply {
	if len(parts) == 0 || len(parts) > 2 || parts[0] == "" {
		return noResource(c.path)
	}
	in.mu.RLock()
	t := in.st.tables[parts[0]]
	in.mu.RUnlock()
	if t == nil {
		return failure(http.StatusBadRequest, "Invalid table "+parts[0], "")
	}
	base := c.origin + "/api/now"
	if version != "" {
		base += "/" + version
	}
	sh := &shape{excludeLink: c.flag("sysparm_exclude_reference_link"), base: base, zone: c.user.zone}
	switch c.query.Get("sysparm_display_value") {
	case "true":
		sh.mode = displayText
	case "all":
		sh.mode = displayBoth
	}
	id := ""
	if len(parts) == 2 {
		id = parts[1]
	}
	switch {
	case (c.method == http.MethodGet || c.method == http.MethodHead) && id == "":
		return in.listRecords(c, t, sh, version)
	case c.method == http.MethodGet || c.method == http.MethodHead:
		return in.getRecord(c, t, sh, id)
	case c.method == http.MethodPost && id == "":
		return in.createRecord(c, t, sh)
	case (c.method == http.MethodPut || c.method == http.MethodPatch) && id != "":
		return in.changeRecord(c, t, sh, id)
	case c.method == http.MethodDelete && id != "":
		return in.deleteRecord(c, t, id)
	}
	return notAllowed(c.method)
}

// viewer is the user of a call as a query sees it.
func (c *call) viewer() *viewer { return &viewer{id: c.user.id, name: c.user.name, zone: c.user.zone} }

// filterOf compiles the filter of a list: sysparm_query, or the bare pairs
// field=value, which also match display values.
func (s *store) filterOf(c *call, t *table) *query {
	if c.query.Has("sysparm_query") {
		return s.compile(c.query.Get("sysparm_query"), t, c.viewer())
	}
	q := s.compile("", t, c.viewer())
	var group []chain
	for name, values := range c.query {
		p, ok := s.path(t, name)
		if !ok || strings.HasPrefix(name, "sysparm_") || len(values) == 0 {
			continue
		}
		want := values[0]
		if len(p.cols) == 1 && p.kind == String && p.cols[0] == colID {
			group = append(group, chain{s.equals(p, want)})
			continue
		}
		group = append(group, chain{{path: p, op: "pair", eval: func(s *store, r *row) bool {
			at := p.walk(s, r)
			return at != nil && (at.vals[p.last()] == want || s.show(at, p.last(), c.user.zone) == want)
		}}})
	}
	if len(group) > 0 {
		q.groups = append(q.groups, group)
	}
	return q
}

func (s *store) equals(p path, want string) term {
	t := term{path: p, op: "=", val: want}
	t.test(func(v string) bool { return v == want })
	return t
}

func (in *Instance) listRecords(c *call, t *table, sh *shape, version string) *reply {
	p := page{offset: c.number("sysparm_offset", 0), limit: c.number("sysparm_limit", defaultLimit), noCount: c.flag("sysparm_no_count")}
	in.mu.RLock()
	defer in.mu.RUnlock()
	s := in.st
	if !c.user.may(t.acl.Read) {
		return failure(http.StatusForbidden, "Insufficient rights to query records", "")
	}
	sel := s.list(t, s.filterOf(c, t), p)
	visible := s.visible(c, t)
	var fields []field
	if list := c.query.Get("sysparm_fields"); list != "" {
		fields = s.fields(t, list)
		if fields == nil {
			fields = []field{}
		}
	}
	body := make([]byte, 0, 256+len(sel.rows)*(128+64*len(fields)))
	body = append(body, `{"result":[`...)
	shown := 0
	for _, r := range sel.rows {
		if visible != nil && !visible.match(s, r) {
			continue // cut by an ACL after the limit was applied
		}
		if shown++; shown > 1 {
			body = append(body, ',')
		}
		body = s.appendRow(body, t, r, fields, sh)
	}
	body = append(body, `]}`...)
	if shown == 0 && version == "v1" {
		return noRecord()
	}
	out := jsonReply(http.StatusOK, body)
	if !p.noCount {
		out.set("X-Total-Count", strconv.Itoa(sel.total))
		if !c.flag("sysparm_suppress_pagination_header") {
			if link := pagination(c, p, sel.total); link != "" {
				out.set("Link", link)
			}
		}
	}
	return out
}

// visible is the row ACL of a table for the user, nil when there is none.
func (s *store) visible(c *call, t *table) *query {
	if t.acl.ReadIf == "" || c.user.admin {
		return nil
	}
	return s.compile(t.acl.ReadIf, t, c.viewer())
}

// pagination writes the Link header: first, prev, next, last. The first page has
// no prev and the last has no next.
func pagination(c *call, p page, total int) string {
	if p.limit == 0 {
		return ""
	}
	q := url.Values{}
	maps.Copy(q, c.query)
	at := func(offset int, rel string) string {
		q.Set("sysparm_limit", strconv.Itoa(p.limit))
		q.Set("sysparm_offset", strconv.Itoa(offset))
		return "<" + c.origin + c.path + "?" + q.Encode() + `>;rel="` + rel + `"`
	}
	links := []string{at(0, "first")}
	if p.offset > 0 {
		links = append(links, at(max(0, p.offset-p.limit), "prev"))
	}
	if p.offset+p.limit < total {
		links = append(links, at(p.offset+p.limit, "next"))
	}
	return strings.Join(append(links, at(max(0, total-1)/p.limit*p.limit, "last")), ",")
}

func (in *Instance) getRecord(c *call, t *table, sh *shape, id string) *reply {
	in.mu.RLock()
	defer in.mu.RUnlock()
	r := in.st.readable(c, t, id)
	if r == nil {
		return noRecord()
	}
	return jsonReply(http.StatusOK, in.st.resultOf(c, t, r, sh))
}

// readable finds a record that the user may read, nil otherwise: missing and
// forbidden look the same.
func (s *store) readable(c *call, t *table, id string) *row {
	r := t.find(id)
	if r == nil || !c.user.may(t.acl.Read) {
		return nil
	}
	if v := s.visible(c, t); v != nil && !v.match(s, r) {
		return nil
	}
	return r
}

// resultOf is {"result":{...}} with the fields that the call asks for.
func (s *store) resultOf(c *call, t *table, r *row, sh *shape) []byte {
	var fields []field
	if list := c.query.Get("sysparm_fields"); list != "" {
		if fields = s.fields(t, list); fields == nil {
			fields = []field{}
		}
	}
	return append(s.appendRow([]byte(`{"result":`), t, r, fields, sh), '}')
}
