package control

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// FuzzChange checks that what is accepted as a change is bounded and can be shown
// and logged as it is, and that what is not has a kind and a hint.
func FuzzChange(f *testing.F) {
	for _, seed := range []string{
		`{"id":"prod/0123","force":true}`, `{"note":"patch day"}`, `{}`, `[]`, `{"id":1}`, "{\"note\":\"\\u001b[2J\"}", `{"id":"a"}{"id":"b"}`, `{"ID":"x"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c, err := readChange(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/cancel", strings.NewReader(body)))
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
				t.Errorf("%v has kind %v and hint %q", err, fault.KindOf(err), fault.HintOf(err))
			}
			return
		}
		if len(c.Note) > maxNote || strings.ContainsFunc(c.Note, unicode.IsControl) {
			t.Errorf("note %q", c.Note)
		}
		if checkID(c.ID) == nil && (len(c.ID) > maxID || strings.ContainsFunc(c.ID, unicode.IsControl)) {
			t.Errorf("id %q", c.ID)
		}
	})
}
