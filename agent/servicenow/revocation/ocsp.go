package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/crypto/ocsp"
)

// maxOCSP bounds an OCSP answer; real ones have a few kilobytes.
const maxOCSP = 64 << 10

func (c *Checker) fetchOCSP(ctx context.Context, cert, issuer *x509.Certificate) (verdict, error) {
	if len(cert.OCSPServer) == 0 {
		return verdict{}, errors.New("the certificate names no OCSP responder")
	}
	ask, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return verdict{}, fmt.Errorf("make OCSP request: %w", err)
	}
	var problems []error
	for _, u := range firstN(cert.OCSPServer, 2) {
		answer, err := c.fetch(ctx, http.MethodPost, u, "application/ocsp-request", ask, maxOCSP)
		if err == nil {
			var v verdict
			if v, err = c.readOCSP(answer, cert, issuer); err == nil {
				return v, nil
			}
		}
		problems = append(problems, fmt.Errorf("OCSP responder %s: %w", u, err))
	}
	return verdict{}, errors.Join(problems...)
}

// readOCSP checks signature, signer and time of an answer.
func (c *Checker) readOCSP(answer []byte, cert, issuer *x509.Certificate) (verdict, error) {
	r, err := ocsp.ParseResponseForCert(answer, cert, issuer)
	if err != nil {
		return verdict{}, err
	}
	now := c.conf.Now()
	// The parser checks that the issuer signed the responder's certificate, but
	// not that the certificate may sign OCSP answers (RFC 6960, 4.2.2.2); without
	// this check any certificate of the same issuer could.
	if s := r.Certificate; s != nil && !s.Equal(issuer) {
		if !slices.Contains(s.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return verdict{}, errors.New("the signer may not sign OCSP answers")
		}
		if now.After(s.NotAfter.Add(clockSkew)) || now.Before(s.NotBefore.Add(-clockSkew)) {
			return verdict{}, errors.New("the signer's certificate is not valid now")
		}
	}
	until := r.NextUpdate
	if until.IsZero() {
		until = r.ThisUpdate.Add(noNextUpdate)
	}
	if r.ThisUpdate.After(now.Add(clockSkew)) || now.After(until.Add(clockSkew)) {
		return verdict{}, fmt.Errorf("the answer is valid from %s to %s only", r.ThisUpdate, until)
	}
	switch r.Status {
	case ocsp.Good:
		return verdict{nil, until}, nil
	case ocsp.Revoked:
		return verdict{fmt.Errorf("%w on %s (OCSP)", ErrRevoked, r.RevokedAt), until}, nil
	default:
		return verdict{}, errors.New("the responder does not know the certificate")
	}
}

func firstN(s []string, n int) []string { return s[:min(n, len(s))] }

// fetch gets or posts a small document. Redirects are not followed.
func (c *Checker) fetch(ctx context.Context, method, address, contentType string, body []byte, limit int64) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the address is no http URL")
	}
	ctx, cancel := context.WithTimeout(ctx, c.conf.Timeout)
	defer cancel()
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), rd)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.conf.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = resp.Body.Close() })
	defer stop()
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(answer)) > limit {
		return nil, fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	return answer, nil
}
