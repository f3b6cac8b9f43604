package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
)

// attachmentAPI routes /api/now/attachment (Attachment API documentation).
func (in *Instance) attachmentAPI(c *call, version string, parts []string) *reply {
	read := c.method == http.MethodGet || c.method == http.MethodHead
	switch {
	case len(parts) == 1 && parts[0] == "file" && c.method == http.MethodPost:
		return in.attachFile(c)
	case len(parts) == 1 && parts[0] == "upload" && c.method == http.MethodPost:
		return in.attachUpload(c)
	case len(parts) == 0 && read:
		return in.attachmentList(c, version)
	case len(parts) == 1 && isID(parts[0]) && read:
		return in.withAttachment(c, parts[0], func(s *store, r *row) *reply {
			return jsonReply(http.StatusOK, append(s.appendAttachment([]byte(`{"result":`), c, r), '}'))
		})
	case len(parts) == 2 && isID(parts[0]) && parts[1] == "file" && read:
		return in.withAttachment(c, parts[0], func(s *store, r *row) *reply {
			return (&reply{code: http.StatusOK, body: s.blobs[r.id()]}).
				set("Content-Type", r.get("content_type")).
				set("X-Attachment-Metadata", string(s.appendAttachment(nil, c, r)))
		})
	case len(parts) == 1 && isID(parts[0]) && c.method == http.MethodPatch:
		return in.renameAttachment(c, parts[0])
	case len(parts) == 1 && isID(parts[0]) && c.method == http.MethodDelete:
		return in.deleteRecord(c, in.table("sys_attachment"), parts[0])
	case len(parts) <= 2:
		return notAllowed(c.method)
	}
	return noResource(c.path)
}

func (in *Instance) table(name string) *table {
	in.mu.RLock()
	defer in.mu.RUnlock()
	return in.st.tables[name]
}

// attachmentsOf returns the files of a record.
func (s *store) attachmentsOf(r *row) []*row {
	t := s.tables["sys_attachment"]
	if len(t.byID) == 0 {
		return nil
	}
	at := t.index["table_sys_id"]
	var out []*row
	t.each(func(a *row) bool {
		if a.vals[at] == r.id() {
			out = append(out, a)
		}
		return true
	})
	return out
}

// attachable reports whether the user may see the attachment's record.
func (s *store) attachable(c *call, table, id string) bool {
	t := s.tables[table]
	return t != nil && s.readable(c, t, id) != nil
}

func (in *Instance) withAttachment(c *call, id string, f func(*store, *row) *reply) *reply {
	in.mu.RLock()
	defer in.mu.RUnlock()
	r := in.st.tables["sys_attachment"].find(id)
	if r == nil || !in.st.attachable(c, r.get("table_name"), r.get("table_sys_id")) {
		return noRecord()
	}
	return f(in.st, r)
}

// renameAttachment serves PATCH with {"file_name":"..."}.
func (in *Instance) renameAttachment(c *call, id string) *reply {
	fields, err := bodyFields(c.body)
	if err != nil {
		return failure(http.StatusBadRequest, "Exception while reading request", err.Error())
	}
	out := noRecord()
	in.write(func(s *store) {
		t := s.tables["sys_attachment"]
		r := t.find(id)
		if r == nil || !s.attachable(c, r.get("table_name"), r.get("table_sys_id")) {
			return
		}
		if name := fields["file_name"]; name != "" {
			_ = s.update(r, c.user.name, []change{{t.index["file_name"], name}}) // sys_attachment has no data policy
		}
		out = &reply{code: http.StatusNoContent}
	})
	return out
}

func (in *Instance) attachmentList(c *call, version string) *reply {
	in.mu.RLock()
	defer in.mu.RUnlock()
	s := in.st
	t := s.tables["sys_attachment"]
	p := page{offset: c.number("sysparm_offset", 0), limit: c.number("sysparm_limit", 1000)}
	sel := s.list(t, s.filterOf(c, t), p)
	b := []byte(`{"result":[`)
	n := 0
	for _, r := range sel.rows {
		if !s.attachable(c, r.get("table_name"), r.get("table_sys_id")) {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = s.appendAttachment(b, c, r)
	}
	if n == 0 && version == "v1" {
		return noRecord()
	}
	return jsonReply(http.StatusOK, append(b, `]}`...)).set("X-Total-Count", strconv.Itoa(sel.total))
}

// appendAttachment writes the metadata of a file: all values are strings.
func (s *store) appendAttachment(b []byte, c *call, r *row) []byte {
	b = append(b, '{')
	for i := range r.t.cols {
		name := r.t.cols[i].Name
		if i == colDomain || i == colDomainPath || i == colClass {
			continue
		}
		b = append(appendString(appendKey(b, name), r.vals[i]), ',')
	}
	for _, name := range []string{"average_image_color", "image_width", "image_height", "sys_tags"} {
		b = append(appendKey(b, name), `"",`...)
	}
	b = append(appendString(appendKey(b, "created_by_name"), s.fullName(r.vals[colCreatedBy])), ',')
	b = append(appendString(appendKey(b, "updated_by_name"), s.fullName(r.vals[colUpdatedBy])), ',')
	b = appendString(appendKey(b, "download_link"), c.origin+"/api/now/attachment/"+r.id()+"/file")
	return append(b, '}')
}

// attachFile serves POST .../file: the body is the file.
func (in *Instance) attachFile(c *call) *reply {
	kind := c.header.Get("Content-Type")
	if kind == "" {
		return failure(http.StatusBadRequest, "Missing Content-Type header", "The header Content-Type is required")
	}
	return in.attach(c, c.query, kind, c.body)
}

// attachUpload serves POST .../upload: multipart, with the file as the last part.
func (in *Instance) attachUpload(c *call) *reply {
	kind, params, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return failure(http.StatusUnsupportedMediaType, "Unsupported media type", "multipart/form-data is required")
	}
	form := url.Values{}
	parts := multipart.NewReader(bytes.NewReader(c.body), params["boundary"])
	for {
		p, err := parts.NextPart()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return failure(http.StatusBadRequest, "Missing file part", "The file must be the last part")
			}
			return failure(http.StatusBadRequest, "Exception while reading request", err.Error())
		}
		content, err := io.ReadAll(p) // the body is in memory and bounded
		if err != nil {
			return failure(http.StatusBadRequest, "Exception while reading request", err.Error())
		}
		if p.FileName() == "" {
			form.Set(p.FormName(), string(content))
			continue
		}
		form.Set("file_name", p.FileName())
		fileType := p.Header.Get("Content-Type")
		if fileType == "" {
			fileType = "application/octet-stream"
		}
		return in.attach(c, form, fileType, content)
	}
}

// attach stores a file on a record. Reading the record and inserting into its
// table is what the user must be allowed.
func (in *Instance) attach(c *call, p url.Values, kind string, content []byte) *reply {
	table, id, name := p.Get("table_name"), p.Get("table_sys_id"), p.Get("file_name")
	if table == "" || id == "" || name == "" {
		return failure(http.StatusBadRequest, "Missing parameter", "table_name, table_sys_id and file_name are required")
	}
	var out *reply
	in.write(func(s *store) {
		if !s.attachable(c, table, id) {
			out = noRecord()
			return
		}
		if acl := s.tables[table].acl; !c.user.may(acl.Insert) && !c.user.may(acl.Write) {
			out = denied("Insert")
			return
		}
		if int64(len(content)) > s.propertyInt("com.glide.attachment.max_size", 1024)<<20 {
			out = failure(http.StatusRequestEntityTooLarge, "File is larger than the allowed maximum", "")
			return
		}
		t := s.tables["sys_attachment"]
		sum := sha256.Sum256(content)
		size := strconv.Itoa(len(content))
		r, _ := s.insert(t, c.user.name, "", t.changes(map[string]string{ // sys_attachment has no data policy
			"file_name": name, "content_type": kind, "size_bytes": size, "size_compressed": size, "table_name": table,
			"table_sys_id": id, "hash": hex.EncodeToString(sum[:]), "state": "available",
		}))
		s.blobs[r.id()] = content
		out = jsonReply(http.StatusCreated, append(s.appendAttachment([]byte(`{"result":`), c, r), '}')).
			set("Location", c.origin+"/api/now/attachment/"+r.id())
	})
	return out
}
