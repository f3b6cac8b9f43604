// Package revocation asks whether a server's certificate was revoked: by a
// stapled OCSP answer, by asking the OCSP responder, and by the CRL, in that
// order.
//
// Go's TLS checks chain, name and time, but not revocation. A [Checker] is put
// behind that check (tls.Config.VerifyConnection), so it looks only at addresses
// that a trusted issuer wrote into a certificate. Answers are cached until their
// own end; failures for a short while, so that an unreachable responder costs one
// wait and not one a connection.
//
// Sources: RFC 6960 (OCSP), RFC 5280 (CRL), RFC 6066 (stapling).
//
// Imports: agent/fault, golang.org/x/crypto/ocsp.
package revocation
