package agent_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// TestBatches: many reports leave in few requests, unless the configuration
// wants each alone.
func TestBatches(t *testing.T) {
	t.Parallel()
	for api, want := range map[string]func(batches uint64) bool{
		"auto":   func(n uint64) bool { return n > 0 && n < 30 },
		"single": func(n uint64) bool { return n == 0 },
	} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, simulator.Options{}, diagRule)
			s.change = func(c *config.Config) { c.Instances[0].API = api }
			var ids []string
			for range 60 {
				ids = append(ids, s.native("diag.echo", "{}"))
			}
			s.start()
			for _, id := range ids {
				if r := s.report(id); r.result() != "succeeded" {
					t.Errorf("%s", r.row["payload"])
				}
			}
			if n := s.inst.Hits(http.MethodPost, "/api/now/v1/batch"); !want(n) {
				t.Errorf("%d batches", n)
			}
		})
	}
}

const longPassword = "a-long-password-of-its-own"

// TestControlSocket: the running agent is reached through its socket, says which
// version it is, and its errors keep secrets.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t, simulator.Options{Users: []simulator.User{{Name: "mid", Password: longPassword, Roles: []string{"mid_server"}, WebServiceOnly: true}}}, diagRule)
	if err := os.WriteFile(filepath.Join(s.dir, "password"), []byte(longPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.is(s.native("diag.echo", "{}"), "delivered") // the password was used by now
	c, err := control.Dial(t.Context(), s.conf.Control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if h := c.Hello(); h.Version != "test" || !h.Admin {
		t.Errorf("hello %+v", h)
	}
	if st, err := c.Status(t.Context()); err != nil || st.Name != "edge1" || st.Disk.Path != filepath.Clean(s.state) {
		t.Errorf("status %+v: %v", st, err)
	}
	_, err = c.Job(t.Context(), "prod/"+longPassword)
	if err == nil || strings.Contains(err.Error(), longPassword) || fault.HintOf(err) == "" {
		t.Errorf("error %v (%s)", err, fault.HintOf(err))
	}
}
