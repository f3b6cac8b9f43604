package revocation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// authority is a CA with an OCSP responder and a CRL, over one web server.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
	url  string

	mu        sync.Mutex
	serial    int64
	revoked   map[int64]bool
	down      bool
	asked     map[string]int
	signer    *x509.Certificate // nil: the CA itself
	signerKey crypto.Signer
	next      time.Duration // life of answers
	extra     []pkix.Extension
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), serial: 1, revoked: map[int64]bool{}, asked: map[string]int{}, next: time.Hour}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature, SubjectKeyId: []byte{1, 2, 3},
	}
	a.cert = a.sign(tmpl, tmpl, a.key.Public())
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *authority) sign(tmpl, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// issue makes a server certificate for localhost.
func (a *authority) issue(change func(*x509.Certificate)) (*x509.Certificate, crypto.Signer) {
	a.t.Helper()
	a.mu.Lock()
	a.serial++
	serial := a.serial
	a.mu.Unlock()
	key := newKey(a.t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		OCSPServer: []string{a.url + "/ocsp"}, CRLDistributionPoints: []string{a.url + "/crl"},
	}
	if change != nil {
		change(tmpl)
	}
	return a.sign(tmpl, a.cert, key.Public()), key
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[r.URL.Path]++
	if a.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/crl" {
		_, _ = w.Write(a.crl())
		return
	}
	body, _ := io.ReadAll(r.Body)
	req, err := ocsp.ParseRequest(body)
	if err != nil {
		_, _ = w.Write(ocsp.MalformedRequestErrorResponse)
		return
	}
	_, _ = w.Write(a.answer(req.SerialNumber))
}

// answer makes an OCSP answer; a.mu is held.
func (a *authority) answer(serial *big.Int) []byte {
	tmpl := ocsp.Response{Status: ocsp.Good, SerialNumber: serial, ThisUpdate: time.Now().Add(-a.next - time.Minute), NextUpdate: time.Now().Add(a.next)}
	if a.revoked[serial.Int64()] {
		tmpl.Status, tmpl.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Minute)
	}
	signer, key := a.cert, a.key
	if a.signer != nil {
		signer, key = a.signer, a.signerKey
		tmpl.Certificate = signer
	}
	b, err := ocsp.CreateResponse(a.cert, signer, tmpl, key)
	if err != nil {
		a.t.Error(err)
	}
	return b
}

func (a *authority) crl() []byte {
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(a.next), ExtraExtensions: a.extra}
	for serial := range a.revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: big.NewInt(serial), RevocationTime: time.Now().Add(-time.Minute),
		})
	}
	b, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		a.t.Error(err)
	}
	return b
}

func (a *authority) revoke(c *x509.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[c.SerialNumber.Int64()] = true
}

func (a *authority) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *authority) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[path]
}

// state is a connection to a server with that certificate.
func (a *authority) state(c *x509.Certificate, stapled []byte) tls.ConnectionState {
	return tls.ConnectionState{
		ServerName: "localhost", PeerCertificates: []*x509.Certificate{c}, OCSPResponse: stapled,
		VerifiedChains: [][]*x509.Certificate{{c, a.cert}},
	}
}
