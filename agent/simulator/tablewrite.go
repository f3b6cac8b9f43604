package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// bodyFields reads the JSON object of a write. Of an array only the first
// object counts, as one request writes one record. An object as a value stands
// for its member value, as in the references that a read returns.
func bodyFields(body []byte) (map[string]string, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return map[string]string{}, nil
	}
	if body[0] == '[' {
		var all []json.RawMessage
		if err := json.Unmarshal(body, &all); err != nil {
			return nil, err
		}
		if len(all) == 0 {
			return map[string]string{}, nil
		}
		body = all[0]
	}
	var raw map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&raw); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		out[k] = scalar(v)
	}
	return out, nil
}

func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case map[string]any:
		return scalar(v["value"])
	default:
		return fmt.Sprint(v)
	}
}

// readBody decodes a write and brings display values into their stored form.
func (in *Instance) readBody(c *call, t *table) ([]change, *reply) {
	fields, err := bodyFields(c.body)
	if err != nil {
		return nil, failure(http.StatusBadRequest, "Exception while reading request", err.Error())
	}
	set := t.changes(fields)
	if c.flag("sysparm_input_display_value") {
		for i, ch := range set {
			set[i].val = fromDisplay(&t.cols[ch.col], ch.val, c)
		}
	}
	return set, nil
}

// fromDisplay reads a date in the user's time zone and a choice by its label.
func fromDisplay(col *Column, v string, c *call) string {
	if at, ok := parseDate(v, c.user.zone); ok && col.Kind == DateTime {
		return utc(at)
	}
	for _, ch := range col.Choices {
		if ch.Label == v {
			return ch.Value
		}
	}
	return v
}

func (in *Instance) createRecord(c *call, t *table, sh *shape) *reply {
	if !c.user.may(t.acl.Insert) {
		return denied("Insert")
	}
	set, bad := in.readBody(c, t)
	if bad != nil {
		return bad
	}
	var out *reply
	in.write(func(s *store) {
		r, err := s.insert(t, c.user.name, "", set)
		if err != nil {
			out = refused(err)
			return
		}
		out = s.written(c, http.StatusCreated, t, r, sh)
		out.set("Location", sh.base+"/table/"+t.def.Name+"/"+r.id())
	})
	return out
}

func (in *Instance) changeRecord(c *call, t *table, sh *shape, id string) *reply {
	set, bad := in.readBody(c, t)
	if bad != nil {
		return bad
	}
	out := noRecord()
	in.write(func(s *store) {
		r := s.readable(c, t, id)
		if r == nil {
			return
		}
		if !c.user.may(r.t.acl.Write) {
			out = denied("Update")
			return
		}
		if err := s.update(r, c.user.name, set); err != nil {
			out = refused(err)
			return
		}
		out = s.written(c, http.StatusOK, t, r, sh)
	})
	return out
}

func (in *Instance) deleteRecord(c *call, t *table, id string) *reply {
	out := noRecord()
	in.write(func(s *store) {
		r := s.readable(c, t, id)
		if r == nil {
			return
		}
		if !c.user.may(r.t.acl.Delete) {
			out = denied("Delete")
			return
		}
		s.remove(r)
		out = &reply{code: http.StatusNoContent}
	})
	return out
}

// written is the answer to a write that happened.
func (s *store) written(c *call, code int, t *table, r *row, sh *shape) *reply {
	if c.header.Get("X-No-Response-Body") == "true" {
		return &reply{code: code}
	}
	return jsonReply(code, s.resultOf(c, t, r, sh))
}

func refused(err error) *reply {
	if p, ok := errors.AsType[*policyError](err); ok {
		return failure(http.StatusForbidden, "Operation Failed", p.Error())
	}
	return failure(http.StatusInternalServerError, "Exception while executing request: null",
		err.Error()+" Check logs for error trace or enable glide.rest.debug property to verify REST request processing")
}
