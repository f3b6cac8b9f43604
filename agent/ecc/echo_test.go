package ecc_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-agent/sallyport/agent/ecc"
)

func TestEchoHoldsEverything(t *testing.T) {
	t.Parallel()
	m := fullMessage()
	m.State = ecc.StateProcessing
	p := parse(t, `<parameters><parameter name="name" value="first"/><parameter name="name" value="effective"/>`+
		`<parameter name="skip_sensor" value="true"/><parameter name="twice" value="1"/><parameter name="twice" value="2"/>`+
		`<parameter name="sys_id" value="forged"/><parameter name="work"><select table="T"/></parameter></parameters>`)
	got := read(t, marshal(t, &ecc.Result{Added: []ecc.Attribute{{Name: "http_status_code", Value: "200"}}, Echo: &ecc.Echo{Message: m, Payload: p}}))
	for name, want := range map[string][]string{
		"http_status_code": {"200"}, "agent": {m.Agent}, "signature": {"s"}, "response_to": {""}, "from_sys_id": {"f"}, "source": {"localhost"},
		"priority": {"1"}, "agent_correlator": {"corr-7"}, "skip_sensor": {"true"}, "processed": {m.Processed}, "error_string": {"e"},
		"sequence": {m.Sequence}, "from_host": {"h"}, "sys_created_on": {"2023-03-05 16:01:54"}, "sys_domain": {"global"},
		"topic": {"Command"}, "state": {"ready"}, "queue": {"output"}, "ecc_queue": {sysID},
		"name": {"effective", "first"}, "sys_id": {sysID, "forged"}, "twice": {"1", "2"}, "work": {`<select table="T"/>`},
	} {
		if d := cmp.Diff(want, got.parameter(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if got.Parameters[0].Name != "http_status_code" {
		t.Error("what the result adds must come first")
	}
}

func TestEchoNeverShowsSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2&<x>"
	for _, name := range []string{
		"password", "jdbc_password", "soap_password", "Passwd", "client_secret", "access_token", "passphrase", "private_key", "privateKey", "pkey",
		"authkey", "privkey", "credential", "credentials", "api-key", "community", "connection_string", "user_pswd", "own_name",
	} {
		m := fullMessage()
		m.Name = "login --pw " + secret
		p := ecc.Payload{Parameters: []ecc.Parameter{{Name: name, Value: secret}, {Name: "script", Value: "echo " + secret}, {Name: "keep", Value: "hunter"}}}
		text := marshal(t, &ecc.Result{Echo: &ecc.Echo{Message: m, Payload: p, Secrets: []string{"Own_Name"}}})
		got := read(t, text)
		if d := cmp.Diff([]string{""}, got.parameter(name)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s: the secret is in the result: %s", name, text)
		}
		if got.parameter("name")[0] != "login --pw ***" || got.parameter("script")[0] != "echo ***" || got.parameter("keep")[0] != "hunter" {
			t.Errorf("%s: the rest is %q", name, got.Parameters)
		}
		if values := ecc.SecretValues(p, "own_name"); !slices.Equal(values, []string{secret}) {
			t.Errorf("%s: secret values are %q", name, values)
		}
	}
}

func TestSecretsInsideValuesAreMasked(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"enc:4711": "", "ENC:4711": "",
		"jdbc:sqlserver://h;user=u;Password=4711;x=1":                          "jdbc:sqlserver://h;user=u;Password=***;x=1",
		"Server=h;PWD='47 11' z":                                               "Server=h;PWD='***' z",
		"https://h/?passwd=4711&a=b":                                           "https://h/?passwd=***&a=b",
		`<fields><field name="Authorization" value="Basic 4711"/></fields>`:    `<fields><field name="Authorization" value="***"/></fields>`,
		`{"Authorization": "Bearer 4711", "a": 1}`:                             `{"Authorization": "***", "a": 1}`,
		"authorization: Bearer 4711\r\nAccept: x":                              "authorization: ***\r\nAccept: x",
		"-----BEGIN RSA PRIVATE KEY-----\n4711\n-----END RSA PRIVATE KEY-----": "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
		"-----BEGIN PRIVATE KEY-----\n4711":                                    "-----BEGIN PRIVATE KEY-----***",
		"password=":                                                            "password=",
		"ask for authorization and a pwd":                                      "ask for authorization and a pwd",
	} {
		p := ecc.Payload{Parameters: []ecc.Parameter{{Name: "plain", Value: value}}}
		got := read(t, marshal(t, &ecc.Result{Echo: &ecc.Echo{Payload: p}}))
		if d := cmp.Diff([]string{want}, got.parameter("plain")); d != "" {
			t.Errorf("%q: %s", value, d)
		}
	}
}

func TestSecretValuesHoldThePasswordInside(t *testing.T) {
	t.Parallel()
	p := ecc.Payload{Parameters: []ecc.Parameter{
		{Name: "connection_string", Value: "h;user=u;password=hunter2"}, {Name: "script.ps1", Value: "$password=Read-Host"}, {Name: "token", Value: ""},
	}}
	if d := cmp.Diff([]string{"h;user=u;password=hunter2", "hunter2"}, ecc.SecretValues(p)); d != "" {
		t.Error(d)
	}
}

func TestLongerSecretsAreMaskedFirst(t *testing.T) {
	t.Parallel()
	p := ecc.Payload{Parameters: []ecc.Parameter{{Name: "password", Value: "abcd"}, {Name: "token", Value: "abcdefgh"}, {Name: "x", Value: "-abcdefgh-"}}}
	if got := read(t, marshal(t, &ecc.Result{Echo: &ecc.Echo{Payload: p}})); got.parameter("x")[0] != "-***-" {
		t.Errorf("%q", got.parameter("x"))
	}
}

func TestNamesThatAreNoSecrets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"name", "source", "credential_id", "credentials_debug", "credential_tag", "skip_sensor", "powershell_param_who", "passive", "compass", "keyboard_interactive", "http_key", "group_key", "script.ps1", ""} {
		if ecc.Secret(name) {
			t.Errorf("%q counts as a secret", name)
		}
	}
}

func TestEchoCanBeCut(t *testing.T) {
	t.Parallel()
	p := ecc.Payload{Parameters: []ecc.Parameter{{Name: "content", Value: strings.Repeat("ä", 1000)}, {Name: "skip_sensor", Value: "true"}}}
	got := read(t, marshal(t, &ecc.Result{Echo: &ecc.Echo{Payload: p, MaxValue: 101}}))
	if want := strings.Repeat("ä", 50) + "… (cut)"; got.parameter("content")[0] != want || got.parameter("skip_sensor")[0] != "true" {
		t.Errorf("%q", got.Parameters)
	}
}
