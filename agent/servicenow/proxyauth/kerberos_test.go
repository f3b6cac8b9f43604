//go:build !windows

package proxyauth_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow/proxyauth"
)

// realm starts a KDC of realm SALLY.TEST with user alice (password s3cret) and
// the service HTTP/localhost, and returns krb5.conf, alice's keytab and the
// service's keytab.
func realm(t *testing.T, dir string) (conf, userKeys, serviceKeys string) {
	t.Helper()
	need(t, "krb5-kdc", "krb5kdc", "kdb5_util")
	need(t, "krb5-admin-server", "kadmin.local")
	port := freePort(t, "tcp")
	conf = write(t, filepath.Join(dir, "krb5.conf"), `[libdefaults]
 default_realm = SALLY.TEST
 dns_lookup_kdc = false
 dns_lookup_realm = false
 rdns = false
 dns_canonicalize_hostname = false
 udp_preference_limit = 1
[realms]
 SALLY.TEST = {
  kdc = 127.0.0.1:`+port+`
 }
[domain_realm]
 localhost = SALLY.TEST
`)
	profile := write(t, filepath.Join(dir, "kdc.conf"), `[kdcdefaults]
 kdc_listen = ""
 kdc_tcp_listen = 127.0.0.1:`+port+`
[realms]
 SALLY.TEST = {
  database_name = `+dir+`/principal
  key_stash_file = `+dir+`/stash
  acl_file = `+dir+`/acl
 }
`)
	env := []string{"KRB5_CONFIG=" + conf, "KRB5_KDC_PROFILE=" + profile}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program(name), args...)
		cmd.Env = append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	userKeys, serviceKeys = filepath.Join(dir, "alice.keytab"), filepath.Join(dir, "http.keytab")
	run("kdb5_util", "create", "-s", "-r", "SALLY.TEST", "-P", "master")
	admin := func(q string) { t.Helper(); run("kadmin.local", "-r", "SALLY.TEST", "-q", q) }
	admin("addprinc -pw s3cret +requires_preauth alice")
	admin("addprinc -randkey bot")
	admin("addprinc -randkey HTTP/localhost")
	admin("ktadd -k " + userKeys + " bot")
	admin("ktadd -k " + serviceKeys + " HTTP/localhost")
	if err := os.Chmod(serviceKeys, 0o644); err != nil {
		t.Fatal(err)
	}
	daemon(t, "127.0.0.1:"+port, env, "krb5kdc", "-n", "-r", "SALLY.TEST")
	return conf, userKeys, serviceKeys
}

// TestRealKerberos logs in at a squid that checks tickets with MIT Kerberos.
func TestRealKerberos(t *testing.T) {
	t.Parallel()
	need(t, "squid", "squid")
	dir := openDir(t)
	conf, userKeys, serviceKeys := realm(t, dir)
	u := squid(t, dir, "auth_param negotiate program /usr/lib/squid/negotiate_kerberos_auth -k "+serviceKeys+" -s HTTP/localhost@SALLY.TEST\n"+
		"auth_param negotiate children 1\nauth_param negotiate keep_alive on",
		"KRB5_CONFIG="+conf, "KRB5RCACHETYPE=none", "KRB5RCACHENAME=none:")
	for name, l := range map[string]proxyauth.Login{
		"password":         {Scheme: "negotiate", User: "alice@SALLY.TEST", Password: password("s3cret"), Kerberos: proxyauth.Kerberos{Config: conf}},
		"offered":          {Scheme: "auto", User: "alice", Password: password("s3cret"), Kerberos: proxyauth.Kerberos{Config: conf}},
		"keytab":           {Scheme: "negotiate", User: "bot@SALLY.TEST", Kerberos: proxyauth.Kerberos{Config: conf, Keytab: userKeys}},
		"twice, one login": {Scheme: "negotiate", User: "alice", Password: password("s3cret"), Kerberos: proxyauth.Kerberos{Config: conf}},
	} {
		d := dialer(u, l)
		for range 2 {
			if got, err := through(t, d); err != nil || got != "hello from the target" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	_, err := through(t, dialer(u, proxyauth.Login{
		Scheme: "negotiate", User: "alice", Password: password("wrong"), Kerberos: proxyauth.Kerberos{Config: conf},
	}))
	if fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
		t.Errorf("a wrong password gave %v", err)
	}
}

func TestNegotiateWithoutKerberosSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := &double{t: t, login: func() func(string) []string { return func(string) []string { return []string{"Negotiate"} } }}
	l := proxyauth.Login{Scheme: "negotiate", User: "alice", Password: password("x"), Kerberos: proxyauth.Kerberos{Config: "/no/such/krb5.conf"}}
	_, err := through(t, dialer(d.start(), l))
	if fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}
