package revocation_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow/revocation"
)

func checker(t *testing.T, mode revocation.Mode, change ...func(*revocation.Config)) *revocation.Checker {
	t.Helper()
	conf := revocation.Config{Mode: mode, Transport: http.DefaultTransport, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&conf)
	}
	c, err := revocation.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noOCSP(c *x509.Certificate) { c.OCSPServer = nil }
func noCRL(c *x509.Certificate)  { c.CRLDistributionPoints = nil }
func nobody(c *x509.Certificate) { c.OCSPServer, c.CRLDistributionPoints = nil, nil }

func TestGoodAndRevoked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x509.Certificate){"ocsp": noCRL, "crl": noOCSP, "both": nil} {
		for _, mode := range []revocation.Mode{revocation.Soft, revocation.Hard} {
			a := newAuthority(t)
			good, _ := a.issue(change)
			bad, _ := a.issue(change)
			a.revoke(bad)
			c := checker(t, mode)
			if err := c.VerifyConnection(a.state(good, nil)); err != nil {
				t.Errorf("%s, %s: a good one gave %v", name, mode, err)
			}
			err := c.VerifyConnection(a.state(bad, nil))
			if !errors.Is(err, revocation.ErrRevoked) || fault.KindOf(err) != fault.Denied || fault.HintOf(err) == "" {
				t.Errorf("%s, %s: a revoked one gave %v", name, mode, err)
			}
		}
		a := newAuthority(t)
		bad, _ := a.issue(change)
		a.revoke(bad)
		if err := checker(t, revocation.Off).VerifyConnection(a.state(bad, nil)); err != nil || a.count("/ocsp")+a.count("/crl") != 0 {
			t.Errorf("off asked somebody, or gave %v", err)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	down, _ := a.issue(nil)
	none, _ := a.issue(nobody)
	a.set(func() { a.down = true })
	for name, cert := range map[string]*x509.Certificate{"down": down, "no address": none} {
		var passed atomic.Int64
		soft := checker(t, revocation.Soft, func(c *revocation.Config) {
			c.Passed = func(*x509.Certificate, error) { passed.Add(1) }
		})
		if err := soft.VerifyConnection(a.state(cert, nil)); err != nil || passed.Load() != 1 {
			t.Errorf("%s: soft gave %v, told %d times", name, err, passed.Load())
		}
		err := checker(t, revocation.Hard).VerifyConnection(a.state(cert, nil))
		if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
			t.Errorf("%s: hard gave %v", name, err)
		}
	}
}

func TestAnswersAreCachedUntilTheirEnd(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, _ := a.issue(noCRL)
	other, _ := a.issue(noOCSP)
	var offset atomic.Int64
	c := checker(t, revocation.Hard, func(conf *revocation.Config) {
		conf.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	})
	verify := func() {
		t.Helper()
		for range 3 {
			if err := errors.Join(c.VerifyConnection(a.state(cert, nil)), c.VerifyConnection(a.state(other, nil))); err != nil {
				t.Error(err)
			}
		}
	}
	verify()
	if a.count("/ocsp") != 1 || a.count("/crl") != 1 {
		t.Errorf("asked %d and %d times", a.count("/ocsp"), a.count("/crl"))
	}
	offset.Store(int64(time.Hour + time.Minute)) // a minute past the end of both answers
	verify()
	if a.count("/ocsp") < 2 || a.count("/crl") < 2 {
		t.Errorf("asked %d and %d times after the end", a.count("/ocsp"), a.count("/crl"))
	}
}

func TestFailureIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, _ := a.issue(noCRL)
	a.set(func() { a.down = true })
	c := checker(t, revocation.Soft)
	for range 5 {
		if err := c.VerifyConnection(a.state(cert, nil)); err != nil {
			t.Error(err)
		}
	}
	if a.count("/ocsp") != 1 {
		t.Errorf("asked %d times", a.count("/ocsp"))
	}
}

func TestStaleAnswerIsNoAnswer(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, _ := a.issue(nil)
	c := checker(t, revocation.Hard, func(conf *revocation.Config) {
		conf.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	})
	if err := c.VerifyConnection(a.state(cert, nil)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

// TestOnlyADelegatedSignerMayAnswer: any other certificate of the same issuer,
// that of a server for example, must not be able to say "good".
func TestOnlyADelegatedSignerMayAnswer(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]struct {
		usage x509.ExtKeyUsage
		ok    bool
	}{"delegated": {x509.ExtKeyUsageOCSPSigning, true}, "a server": {x509.ExtKeyUsageServerAuth, false}} {
		a := newAuthority(t)
		cert, _ := a.issue(noCRL)
		signer, key := a.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{k.usage} })
		a.set(func() { a.signer, a.signerKey = signer, key })
		err := checker(t, revocation.Hard).VerifyConnection(a.state(cert, nil))
		if (err == nil) != k.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForeignSignatureIsNoAnswer(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	for _, change := range []func(*x509.Certificate){
		func(c *x509.Certificate) { noCRL(c); c.OCSPServer = []string{stranger.url + "/ocsp"} },
		func(c *x509.Certificate) { noOCSP(c); c.CRLDistributionPoints = []string{stranger.url + "/crl"} },
		func(c *x509.Certificate) { noCRL(c); c.OCSPServer = []string{"file:///etc/passwd"} },
	} {
		cert, _ := a.issue(change)
		if err := checker(t, revocation.Hard).VerifyConnection(a.state(cert, nil)); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v", err)
		}
	}
}

func TestPartialListIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]struct {
		ext pkix.Extension
		ok  bool
	}{
		"user certificates": {pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}}, true},
		"indirect":          {pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}}, false},
		"some reasons":      {pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 4, 0x83, 2, 5, 0x60}}, false},
		"delta":             {pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}, false},
		"unknown critical":  {pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}, false},
		"unknown":           {pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}, true},
	} {
		a := newAuthority(t)
		cert, _ := a.issue(noOCSP)
		a.set(func() { a.extra = []pkix.Extension{k.ext} })
		err := checker(t, revocation.Hard).VerifyConnection(a.state(cert, nil))
		if (err == nil) != k.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStapledInAHandshake is a real TLS connection with a stapled answer.
func TestStapledInAHandshake(t *testing.T) {
	t.Parallel()
	for _, revoked := range []bool{false, true} {
		a := newAuthority(t)
		cert, key := a.issue(nil)
		if revoked {
			a.revoke(cert)
		}
		a.mu.Lock()
		staple := a.answer(cert.SerialNumber)
		a.down = true
		a.mu.Unlock()
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key, OCSPStaple: staple}}}
		srv.StartTLS()
		pool := x509.NewCertPool()
		pool.AddCert(a.cert)
		conf := &tls.Config{RootCAs: pool, ServerName: "localhost", VerifyConnection: checker(t, revocation.Hard).VerifyConnection}
		conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), conf)
		if revoked != errors.Is(err, revocation.ErrRevoked) || (!revoked && err != nil) {
			t.Errorf("revoked %v: %v", revoked, err)
		}
		if conn != nil {
			conn.Close()
		}
		srv.Close()
		if a.count("/ocsp") != 0 {
			t.Error("asked the responder in spite of a stapled answer")
		}
	}
}

func TestUnknownMode(t *testing.T) {
	t.Parallel()
	if _, err := revocation.New(revocation.Config{Mode: "strict"}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
}
