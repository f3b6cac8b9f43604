package agent_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/control"
	"github.com/sallyport-agent/sallyport/agent/simulator"
)

// TestPlantedSecretsStayInside plants secrets in the configuration, in
// parameters and in what a command prints, and looks for them in everything that
// leaves the agent: reports, status, jobs, explanations, errors and the log.
func TestPlantedSecretsStayInside(t *testing.T) {
	t.Parallel()
	const login, param = `S3cr&t "pass"<word> ü/9`, `P4ram&<eter>'s secret+value`
	s := newSite(t, simulator.Options{Users: []simulator.User{{Name: "mid", Password: login, Roles: []string{"mid_server"}, WebServiceOnly: true}}},
		allow("/bin/cat "+"*", "/bin/ls *"))
	s.level = slog.LevelDebug
	if err := os.WriteFile(filepath.Join(s.dir, "password"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	// What a command prints when it shows the password, in forms that programs use.
	var utf16 []byte
	for _, r := range login {
		utf16 = append(utf16, byte(r), byte(r>>8))
	}
	quoted, err := json.Marshal(login)
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]string{
		"plain": login, "base64": base64.StdEncoding.EncodeToString([]byte(login)), "hex": hex.EncodeToString([]byte(login)),
		"url": url.QueryEscape(login), "path": url.PathEscape(login), "json": strings.Trim(string(quoted), `"`),
		"basic":  base64.StdEncoding.EncodeToString([]byte("mid:" + login)),
		"utf16":  base64.StdEncoding.EncodeToString(utf16),
		"large":  strings.Repeat("filler ", 40_000) + login + strings.Repeat(" filler", 40_000),
		"edited": strings.ReplaceAll(strings.ReplaceAll(login, "&", "&amp;"), "<", "&lt;"),
	}
	a := s.start()
	var ids []string
	for name, text := range forms {
		file := filepath.Join(s.dir, "form-"+name)
		if err := os.WriteFile(file, []byte("before "+text+" after\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.command("/bin/cat "+file, "password", param, "credential_password", param))
	}
	ids = append(ids,
		s.command("/bin/ls "+login, "password", param),                           // in a denied command
		s.command("/bin/rm "+param, "password", param),                           // in a denied command
		s.put(simulator.Output{Topic: login, Name: login, Payload: "<" + login}), // in what cannot be read
		s.put(simulator.Output{Topic: "Sallyport", Name: login, Payload: payload("params", `{"`+param+`":1}`, "password", param)}),
	)
	var out bytes.Buffer
	show := func(what string, v any, err error) {
		data, jsonErr := json.Marshal(v)
		if jsonErr != nil {
			t.Error(jsonErr)
		}
		out.WriteString(what + " " + string(data) + "\n")
		if err != nil {
			out.WriteString(what + " error " + err.Error() + "\n")
		}
	}
	printed := len(forms)
	for i, id := range ids {
		row := s.answers(id, 1)[0]
		if i < printed && (!strings.Contains(row["payload"], "before ") || !strings.Contains(row["payload"], " after")) {
			t.Errorf("more than the secret is missing: %.300s", row["payload"])
		}
		out.WriteString("report " + row["payload"] + "\n")
		s.is(id, "delivered")
		d, err := a.Job(t.Context(), "prod/"+id)
		show("job", d, err)
		e, err := a.Explain(t.Context(), "prod/"+id)
		show("explain", e, err)
		if r, err := a.Output(t.Context(), "prod/"+id); err == nil {
			_, _ = io.Copy(&out, r)
			_ = r.Close()
		}
	}
	show("status", a.Status(t.Context()), nil)
	list, err := a.Jobs(t.Context(), control.Filter{})
	show("jobs", list, err)
	s.stop()
	out.WriteString(s.log.String())
	text := out.String()
	for name, form := range forms {
		if name == "large" {
			form = login
		}
		if i := strings.Index(text, form); i >= 0 {
			t.Errorf("the password leaks (%s): ...%s", name, text[max(0, i-200):min(len(text), i+len(form)+20)])
		}
	}
	for name, form := range map[string]string{
		"plain": param, "xml": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;").Replace(param),
		"base64": base64.StdEncoding.EncodeToString([]byte(param)), "url": url.QueryEscape(param),
	} {
		if i := strings.Index(text, form); i >= 0 {
			t.Errorf("a parameter leaks (%s): ...%s", name, text[max(0, i-300):min(len(text), i+len(form)+20)])
		}
	}
}
