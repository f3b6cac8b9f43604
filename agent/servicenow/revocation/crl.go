package revocation

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// maxCRL bounds a CRL; the largest public ones have some 10 MB.
const maxCRL = 20 << 20

// crlEntry is a cached list: the serial numbers only, so that a long list does
// not keep its whole text in memory.
type crlEntry struct {
	revoked map[string]time.Time
	until   time.Time
}

func (c *Checker) fetchCRL(ctx context.Context, cert, issuer *x509.Certificate) (verdict, error) {
	if len(cert.CRLDistributionPoints) == 0 {
		return verdict{}, errors.New("the certificate names no CRL")
	}
	var problems []error
	for _, u := range firstN(cert.CRLDistributionPoints, 2) {
		list, err := c.crl(ctx, u, issuer)
		if err != nil {
			problems = append(problems, fmt.Errorf("CRL %s: %w", u, err))
			continue
		}
		if at, ok := list.revoked[serialKey(cert.SerialNumber)]; ok {
			return verdict{fmt.Errorf("%w on %s (CRL)", ErrRevoked, at), list.until}, nil
		}
		return verdict{nil, list.until}, nil
	}
	return verdict{}, errors.Join(problems...)
}

func serialKey(n *big.Int) string { return string(n.Bytes()) }

func (c *Checker) crl(ctx context.Context, address string, issuer *x509.Certificate) (crlEntry, error) {
	key := address + "\x00" + string(issuer.RawSubjectPublicKeyInfo)
	c.mu.Lock()
	list, ok := c.crls[key]
	c.mu.Unlock()
	if ok && c.conf.Now().Before(list.until) {
		return list, nil
	}
	raw, err := c.fetch(ctx, http.MethodGet, address, "", nil, maxCRL)
	if err != nil {
		return crlEntry{}, err
	}
	if list, err = c.readCRL(raw, issuer); err != nil {
		return crlEntry{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.crls) >= maxCRLs {
		clear(c.crls)
	}
	c.crls[key] = list
	return list, nil
}

// readCRL checks signature, scope and time of a list.
func (c *Checker) readCRL(raw []byte, issuer *x509.Certificate) (crlEntry, error) {
	if block, _ := pem.Decode(raw); block != nil && block.Type == "X509 CRL" {
		raw = block.Bytes // RFC 5280 wants DER; some private CAs publish PEM
	}
	l, err := x509.ParseRevocationList(raw)
	if err != nil {
		return crlEntry{}, err
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return crlEntry{}, fmt.Errorf("signature: %w", err)
	}
	if err := checkScope(l); err != nil {
		return crlEntry{}, err
	}
	now := c.conf.Now()
	if l.NextUpdate.IsZero() || now.After(l.NextUpdate.Add(clockSkew)) || l.ThisUpdate.After(now.Add(clockSkew)) {
		return crlEntry{}, fmt.Errorf("the list is valid from %s to %s only", l.ThisUpdate, l.NextUpdate)
	}
	revoked := make(map[string]time.Time, len(l.RevokedCertificateEntries))
	for _, e := range l.RevokedCertificateEntries {
		revoked[serialKey(e.SerialNumber)] = e.RevocationTime
	}
	return crlEntry{revoked, l.NextUpdate}, nil
}

// partial reports whether an IssuingDistributionPoint extension (RFC 5280, 5.2.5)
// says that the list leaves something out: some reasons [3], lists of several
// issuers [4] and attribute certificates only [5]. DER leaves out what is false.
func partial(extension []byte) (bool, error) {
	var seq asn1.RawValue
	if _, err := asn1.Unmarshal(extension, &seq); err != nil {
		return false, fmt.Errorf("read the scope of the list: %w", err)
	}
	for rest := seq.Bytes; len(rest) > 0; {
		var part asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &part); err != nil {
			return false, fmt.Errorf("read the scope of the list: %w", err)
		}
		if part.Class == asn1.ClassContextSpecific && part.Tag >= 3 {
			return true, nil
		}
	}
	return false, nil
}

// checkScope refuses lists that do not tell everything about a certificate that
// names them: deltas, lists for some reasons, lists for other issuers.
func checkScope(l *x509.RevocationList) error {
	for _, e := range l.Extensions {
		switch {
		case e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 27}):
			return errors.New("the list is a delta")
		case e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}):
			some, err := partial(e.Value)
			if err != nil {
				return err
			}
			if some {
				return errors.New("the list does not cover every certificate or reason")
			}
		case e.Critical:
			return fmt.Errorf("the list has the unknown critical extension %s", e.Id)
		}
	}
	return nil
}
