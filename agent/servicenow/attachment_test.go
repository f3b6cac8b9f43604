package servicenow_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/fault"
	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
)

func upload(content string) sn.Upload {
	return sn.Upload{
		Table: "ecc_queue", TableSysID: "abc", FileName: "payload & more.txt", ContentType: "text/plain", Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func TestAttachAgainAfterACuredLogin(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 50_000)
	n := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if n++; n == 1 {
			w.Header().Set("X-Is-Logged-In", "true")
			w.Header().Set("X-UserToken-Response", "tok")
			answer(w, 401, unauth)
			return
		}
		q := r.URL.Query()
		if string(body) != content || r.URL.Path != "/api/now/attachment/file" || q.Get("file_name") != "payload & more.txt" ||
			q.Get("table_name") != "ecc_queue" || q.Get("table_sys_id") != "abc" || r.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("%d bytes for %s, %v", len(body), r.URL, r.Header)
		}
		answer(w, 201, `{"result":{"sys_id":"att","file_name":"payload & more.txt","size_bytes":"`+strconv.Itoa(len(body))+`","hash":"AB"}}`)
	})
	a, err := c.Attach(t.Context(), upload(content))
	if err != nil || a.SysID != "att" || a.Size != 500_000 || a.Hash != "ab" || n != 2 {
		t.Errorf("%+v, %v, %d requests", a, err, n)
	}
}

func TestAttachThatWasCutIsUnknown(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); cut(w) })
	if _, err := c.Attach(t.Context(), upload("x")); fault.KindOf(err) != fault.Unknown {
		t.Errorf("got %v", err)
	}
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 201, `{"result":{"sys_id":"att","size_bytes":"3"}}`)
	})
	if _, err := c.Attach(t.Context(), upload("12345")); fault.KindOf(err) != fault.Unknown {
		t.Errorf("a short copy gave %v", err)
	}
	if _, err := c.Attach(t.Context(), sn.Upload{Table: "a", TableSysID: "b", FileName: "../x"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a path as name gave %v", err)
	}
}

func TestAttachmentsAreThoseOfTheRecord(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query().Get("sysparm_query"); q != "table_name=ecc_queue^table_sys_id=abc^file_name=p.txt^ORDERBYsys_created_on^ORDERBYsys_id" {
			t.Errorf("query %q", q)
		}
		answer(w, 200, `{"result":[
			{"sys_id":"1","table_name":"ecc_queue","table_sys_id":"abc","file_name":"p.txt","size_bytes":"7"},
			{"sys_id":"2","table_name":"ecc_queue","table_sys_id":"other","file_name":"p.txt","size_bytes":"7"}]}`)
	})
	list, err := c.Attachments(t.Context(), "ecc_queue", "abc", "p.txt")
	if err != nil || len(list) != 1 || list[0].SysID != "1" || list[0].Size != 7 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestDownloadChecksSizeAndHash(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("abc", 1000)
	sum := sha256.Sum256([]byte(content))
	meta := func(size int, hash string) string {
		return jsonText(map[string]string{"size_bytes": strconv.Itoa(size), "hash": hash})
	}
	for name, k := range map[string]struct {
		meta  string
		most  int64
		cause error
		n     int64
	}{
		"fits":          {meta(3000, hex.EncodeToString(sum[:])), 3000, nil, 3000},
		"no metadata":   {"", 3000, nil, 3000},
		"too large":     {"", 2999, sn.ErrTooLarge, 2999},
		"shorter":       {meta(3001, ""), 5000, sn.ErrTruncated, 3000},
		"other content": {meta(3000, strings.Repeat("0", 64)), 5000, sn.ErrTruncated, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Attachment-Metadata", k.meta)
				answer(w, 200, content)
			})
			var b bytes.Buffer
			n, err := c.Download(t.Context(), "abc", &b, k.most)
			if n != k.n || !errors.Is(err, k.cause) || (k.cause == nil && err != nil) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

func TestDownloadOfAPageIsNoAttachment(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Instance Hibernating page</html>")
	})
	var b bytes.Buffer
	if _, err := c.Download(t.Context(), "abc", &b, 1000); !errors.Is(err, sn.ErrHibernating) || b.Len() != 0 {
		t.Errorf("%v, wrote %q", err, b.String())
	}
	c = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, 404, failure("No Record found", ""))
	})
	if _, err := c.Download(t.Context(), "abc", &b, 1000); !errors.Is(err, sn.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := c.DeleteAttachment(t.Context(), "abc"); err != nil {
		t.Error(err)
	}
}
