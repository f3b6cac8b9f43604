package servicenow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

const attachmentPath = "/api/now/attachment"

// Attachment is the metadata of one attachment.
type Attachment struct {
	SysID       string
	Table       string
	TableSysID  string
	FileName    string
	ContentType string
	Size        int64  // in bytes; -1 when the instance does not tell
	Hash        string // SHA-256 in lower case hex, where the release offers it
	Record      Record // all columns
}

// Upload is a file to attach.
type Upload struct {
	Table       string
	TableSysID  string
	FileName    string
	ContentType string // "" means application/octet-stream
	Size        int64  // in bytes
	// Open returns the content from its beginning. It can be called more than
	// once: a refused login makes the client send the file again.
	Open func() (io.ReadCloser, error)
}

// Attach uploads a file, streamed. Errors of kind fault.Unknown leave it open
// whether the attachment exists; Attachments finds it by name.
//
// Source: "Attachment API" of the ServiceNow documentation.
func (c *Client) Attach(ctx context.Context, u Upload) (Attachment, error) {
	if err := errors.Join(checkTable(u.Table), checkSysID(u.TableSysID), checkFileName(u.FileName)); err != nil {
		return Attachment{}, err
	}
	q := url.Values{"table_name": {u.Table}, "table_sys_id": {u.TableSysID}, "file_name": {u.FileName}}
	k := call{
		attempt: attempt{op: "attach " + strconv.Quote(u.FileName) + " to", subject: c.subject(u.Table, u.TableSysID), write: true},
		method:  http.MethodPost, path: attachmentPath + "/file?" + q.Encode(),
		open: u.Open, size: u.Size, kind: u.ContentType, timeout: c.conf.TransferTimeout,
	}
	if k.kind == "" {
		k.kind = "application/octet-stream"
	}
	if strings.ContainsFunc(k.kind, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Attachment{}, badQuery("content type", u.ContentType, "holds characters that a header cannot")
	}
	if u.Size == 0 {
		k.open, k.body = nil, []byte{}
	}
	r, err := c.do(ctx, k)
	if err != nil {
		return Attachment{}, err
	}
	rec, err := c.one(ctx, k.attempt, r)
	if err != nil {
		return Attachment{}, err
	}
	a := attachmentOf(rec)
	if a.Size >= 0 && a.Size != u.Size {
		return a, k.fail(fault.Unknown, &AnswerError{
			Status: r.status, Cause: ErrTruncated,
			Message: fmt.Sprintf("%d of %d bytes arrived", a.Size, u.Size),
		}, "delete the attachment and send it again")
	}
	return a, nil
}

// checkFileName refuses what an instance or a later reader could take for more
// than a name.
func checkFileName(name string) error {
	if name == "" || len(name) > 100 || strings.ContainsAny(name, `/\`) ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
		return badQuery("file name", name, "is empty, longer than 100 bytes, or holds a slash or control character")
	}
	return nil
}

func attachmentOf(r Record) Attachment {
	size, err := strconv.ParseInt(r["size_bytes"], 10, 64)
	if err != nil || size < 0 {
		size = -1
	}
	return Attachment{
		SysID: r["sys_id"], Table: r["table_name"], TableSysID: r["table_sys_id"], FileName: r["file_name"],
		ContentType: r["content_type"], Size: size, Hash: strings.ToLower(r["hash"]), Record: r,
	}
}

// Attachments lists the attachments of a record, oldest first; with a file name
// only those of that name.
func (c *Client) Attachments(ctx context.Context, table, sysID, fileName string) ([]Attachment, error) {
	if err := errors.Join(checkTable(table), checkSysID(sysID)); err != nil {
		return nil, err
	}
	q := Query{
		Where: []Condition{Eq("table_name", table), Eq("table_sys_id", sysID)},
		Order: []Order{Ascending("sys_created_on")},
		Limit: DefaultLimit,
	}
	if fileName != "" {
		q.Where = append(q.Where, Eq("file_name", fileName))
	}
	encoded, err := q.Encode(nil)
	if err != nil {
		return nil, err
	}
	v := url.Values{"sysparm_query": {encoded}, "sysparm_limit": {strconv.Itoa(q.limit())}}
	k := call{
		attempt: attempt{op: "list attachments of", subject: c.subject(table, sysID)},
		method:  http.MethodGet, path: attachmentPath + "?" + v.Encode(),
	}
	r, err := c.do(ctx, k)
	if err != nil {
		if hasCause(err, ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	rows, err := k.records(ctx, r, q.limit())
	if err != nil {
		return nil, err
	}
	var list []Attachment
	for _, row := range rows {
		if q.Matches(row) {
			list = append(list, attachmentOf(row))
		}
	}
	return list, nil
}

// Download writes an attachment to w, streamed, and returns the number of bytes
// written. It fails with ErrTooLarge in the chain when there are more than most,
// and with ErrTruncated when size or hash are not those that the instance offers;
// w then holds a part.
func (c *Client) Download(ctx context.Context, sysID string, w io.Writer, most int64) (int64, error) {
	if err := checkSysID(sysID); err != nil {
		return 0, err
	}
	k := call{
		attempt: attempt{op: "download attachment", subject: sysID + " from " + c.Host()},
		method:  http.MethodGet, path: attachmentPath + "/" + sysID + "/file",
	}
	ctx, done, err := c.begin(ctx, k.attempt)
	if err != nil {
		return 0, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, c.conf.TransferTimeout)
	defer cancel()
	req, err := c.request(ctx, k)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "*/*")
	resp, err := c.writes.Do(req)
	if err != nil {
		return 0, k.transportError(ctx, &sentTrace{}, unwrapURL(err))
	}
	if resp.StatusCode != http.StatusOK {
		_, err := k.take(ctx, resp, c.conf.MaxAnswer)
		if err == nil {
			err = k.fail(fault.Unavailable, &AnswerError{Status: resp.StatusCode, Cause: ErrNotJSON}, "try again")
		}
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	return k.copyFile(ctx, resp, w, most)
}

// copyFile copies the content and checks it against X-Attachment-Metadata. An
// answer without that header is no attachment when it is a web page.
func (a attempt) copyFile(ctx context.Context, resp *http.Response, w io.Writer, most int64) (int64, error) {
	meta, metaErr := flatObject([]byte(resp.Header.Get("X-Attachment-Metadata")))
	src := io.Reader(resp.Body)
	if metaErr != nil && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		head, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err := a.status(resp.StatusCode, resp.Header, head); err != nil {
			return 0, err
		}
		src = io.MultiReader(strings.NewReader(string(head)), resp.Body)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(src, most))
	if err != nil {
		return n, a.bodyError(ctx, resp.StatusCode, err)
	}
	if n == most {
		if extra, _ := io.CopyN(io.Discard, src, 1); extra > 0 {
			e := &AnswerError{Status: resp.StatusCode, Cause: ErrTooLarge, Message: fmt.Sprintf("more than %d bytes", most)}
			return n, a.fail(fault.Invalid, e, "raise the bound on attachments, or send less")
		}
	}
	want := attachmentOf(meta)
	sum := hex.EncodeToString(h.Sum(nil))
	if want.Size >= 0 && want.Size != n || len(want.Hash) == 64 && want.Hash != sum {
		e := &AnswerError{Status: resp.StatusCode, Cause: ErrTruncated, Message: fmt.Sprintf("%d bytes with SHA-256 %s", n, sum)}
		return n, a.fail(fault.Unavailable, e, "download it again; if it stays, a proxy changes contents")
	}
	return n, nil
}

// DeleteAttachment removes an attachment.
func (c *Client) DeleteAttachment(ctx context.Context, sysID string) error {
	if err := checkSysID(sysID); err != nil {
		return err
	}
	k := call{
		attempt: attempt{op: "delete attachment", subject: sysID + " on " + c.Host(), write: true},
		method:  http.MethodDelete, path: attachmentPath + "/" + sysID,
	}
	_, err := c.do(ctx, k)
	return err
}
