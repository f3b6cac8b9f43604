// Package proxyauth dials through an HTTP proxy that wants a login: Basic, NTLM
// or Negotiate (Kerberos).
//
// The standard library speaks Basic to proxies only. NTLM logs in a connection
// and not a request, so the CONNECT exchange is done here, on one connection,
// before the TLS handshake with the target begins. [Dialer.DialContext] opens
// tunnels; [Dialer.RoundTrip] sends a plain http request (OCSP, CRL) in absolute
// form through the same login, since few proxies allow CONNECT to port 80.
//
// Sources: RFC 9110 (CONNECT, 407), RFC 7617 (Basic), RFC 4559 (Negotiate),
// MS-NTHT and MS-NLMP (NTLM).
//
// Imports: agent/fault, Azure/go-ntlmssp; jcmturner/gokrb5 where Kerberos is not
// the system's own, alexbrainman/sspi on Windows.
package proxyauth
