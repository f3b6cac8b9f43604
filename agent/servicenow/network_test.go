package servicenow_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	sn "github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/servicenow/revocation"
)

// authority is a private CA that publishes a CRL.
type authority struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	crl     *httptest.Server
	revoked atomic.Bool
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Inspection CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), SubjectKeyId: []byte{1},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a.cert, a.key = a.sign(t, tmpl)
	a.crl = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		if a.revoked.Load() {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(2), RevocationTime: time.Now()}}
		}
		b, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(a.crl.Close)
	return a
}

func (a *authority) sign(t *testing.T, tmpl *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, parentKey := a.cert, a.key
	if parent == nil {
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// server is an instance with a certificate of the CA.
func (a *authority) server(t *testing.T, h http.HandlerFunc, change func(*tls.Config)) *httptest.Server {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "instance"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, CRLDistributionPoints: []string{a.crl.URL},
	})
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nil
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func created(w http.ResponseWriter, _ *http.Request) { answer(w, 201, `{"result":{"sys_id":"abc"}}`) }

func insert(t *testing.T, conf sn.Config) error {
	t.Helper()
	_, err := newClient(t, conf).Insert(t.Context(), "ecc_queue", sn.Record{"a": "b"})
	return err
}

func TestPrivateIssuer(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	conf := config(a.server(t, created, nil).URL)
	err := insert(t, conf)
	if fault.KindOf(err) != fault.Denied || !contains(fault.HintOf(err), "ca_file") {
		t.Errorf("an unknown issuer gave %v (%s)", err, fault.HintOf(err))
	}
	conf.TLS.ExtraCA = a.pem()
	if err := insert(t, conf); err != nil {
		t.Error(err)
	}
	conf.TLS.OnlyExtra = true
	if err := insert(t, conf); err != nil {
		t.Error(err)
	}
	conf.TLS.ExtraCA = []byte("no PEM")
	if _, err := sn.New(conf); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, k := range []struct {
		server, client uint16
		ok             bool
	}{{tls.VersionTLS11, 0, false}, {tls.VersionTLS12, 0, true}, {tls.VersionTLS12, tls.VersionTLS13, false}} {
		s := a.server(t, created, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, k.server })
		conf := config(s.URL)
		conf.TLS.ExtraCA, conf.TLS.MinVersion = a.pem(), k.client
		err := insert(t, conf)
		if (err == nil) != k.ok || fault.KindOf(err) == fault.Unknown {
			t.Errorf("%s towards %s: %v", tls.VersionName(k.client), tls.VersionName(k.server), err)
		}
	}
	conf := config("https://example.com")
	conf.TLS.MinVersion = tls.VersionTLS11
	if _, err := sn.New(conf); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "edge1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	s := a.server(t, func(w http.ResponseWriter, r *http.Request) {
		if n := r.TLS.PeerCertificates[0].Subject.CommonName; n != "edge1" || r.Header.Get("Authorization") != "" {
			t.Errorf("certificate of %q, authorization %q", n, r.Header.Get("Authorization"))
		}
		created(w, r)
	}, func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(a.cert)
	})
	conf := config(s.URL)
	conf.Basic = nil
	conf.TLS.ExtraCA = a.pem()
	conf.TLS.Certificate = func() (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
	}
	if err := insert(t, conf); err != nil {
		t.Error(err)
	}
}

func TestRevokedCertificateOfTheInstance(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s := a.server(t, created, nil)
	conf := config(s.URL)
	conf.TLS.ExtraCA = a.pem()
	for _, mode := range []revocation.Mode{revocation.Off, revocation.Soft, revocation.Hard} {
		conf.TLS.Revocation = mode
		a.revoked.Store(false)
		if err := insert(t, conf); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		a.revoked.Store(true)
		err := insert(t, conf)
		if want := mode != revocation.Off; want != errors.Is(err, revocation.ErrRevoked) || want && fault.KindOf(err) != fault.Denied {
			t.Errorf("%s, revoked: %v", mode, err)
		}
	}
}

func TestCheckTLSShowsAChainThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	conf := config(a.server(t, created, nil).URL)
	r, err := newClient(t, conf).CheckTLS(t.Context())
	if err != nil || len(r.Chain) != 1 || r.Chain[0].Issuer != "CN=Inspection CA" || r.Version != "TLS 1.3" || r.Trusted == nil || fault.HintOf(r.Trusted) == "" {
		t.Errorf("%+v, %v", r, err)
	}
	conf.TLS.ExtraCA, conf.TLS.Revocation = a.pem(), revocation.Hard
	if r, err = newClient(t, conf).CheckTLS(t.Context()); err != nil || r.Trusted != nil {
		t.Errorf("%+v, %v", r, err)
	}
	a.revoked.Store(true)
	if r, err = newClient(t, conf).CheckTLS(t.Context()); err != nil || !errors.Is(r.Trusted, revocation.ErrRevoked) {
		t.Errorf("%+v, %v", r, err)
	}
}

// proxy is one that wants user and password, and counts tunnels.
func proxy(t *testing.T) (address string, tunnels *atomic.Int64) {
	t.Helper()
	tunnels = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic YWdlbnQ6c2VzYW1l" {
			w.Header().Set("Proxy-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		tunnels.Add(1)
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func(r *bufio.Reader) { _, _ = io.Copy(up, r); up.Close() }(rw.Reader)
		_, _ = io.Copy(conn, up)
	}))
	t.Cleanup(s.Close)
	return s.URL, tunnels
}

func TestProxyWithLoginAndExceptions(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	address, tunnels := proxy(t)
	conf := config(a.server(t, created, nil).URL)
	conf.TLS.ExtraCA = a.pem()
	conf.Proxy = sn.Proxy{URL: address, User: "agent", Password: secret("sesame")}
	if err := insert(t, conf); err != nil || tunnels.Load() != 1 {
		t.Errorf("%d tunnels, %v", tunnels.Load(), err)
	}
	c := newClient(t, conf)
	if took, err := c.CheckConnect(t.Context()); err != nil || took <= 0 {
		t.Errorf("connect: %v", err)
	}
	if p, err := c.ProxyURL(); err != nil || p != address {
		t.Errorf("proxy %q, %v", p, err)
	}
	if host, addrs, err := c.CheckDNS(t.Context()); err != nil || host != "127.0.0.1" || len(addrs) == 0 {
		t.Errorf("%s %v %v", host, addrs, err)
	}
	before := tunnels.Load()
	conf.Proxy.NoProxy = []string{"127.0.0.0/8"}
	if err := insert(t, conf); err != nil || tunnels.Load() != before {
		t.Errorf("no_proxy: %d tunnels, %v", tunnels.Load(), err)
	}
	conf.Proxy.NoProxy, conf.Proxy.Password = nil, secret("pl4nted")
	err := insert(t, conf)
	if fault.KindOf(err) != fault.Denied || !contains(fault.HintOf(err), "proxy") || strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("a wrong password gave %v: %v", fault.KindOf(err), err)
	}
	conf.Proxy.URL = "http://127.0.0.1:1"
	if err := insert(t, conf); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("no proxy there gave %v: %v", fault.KindOf(err), err)
	}
	for _, bad := range []string{"socks5://x:1", "proxy:3128", "://"} {
		conf.Proxy.URL = bad
		if _, err := sn.New(conf); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q gave %v", bad, err)
		}
	}
}
