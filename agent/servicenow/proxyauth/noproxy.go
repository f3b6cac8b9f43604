package proxyauth

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Exceptions is a parsed no_proxy list. As with curl, an entry is a host, a
// domain (with or without a leading dot: it covers its subdomains too), an
// address, a range in CIDR notation, or * for everything. A host or an address
// may carry a port.
type Exceptions struct {
	all      bool
	prefixes []netip.Prefix
	names    []exception
}

type exception struct{ host, port string }

// ParseExceptions parses a no_proxy list. Its entries may themselves hold
// commas. The error is of kind fault.Invalid and names the entry.
func ParseExceptions(list []string) (*Exceptions, error) {
	e := &Exceptions{}
	for _, item := range list {
		for entry := range strings.SplitSeq(item, ",") {
			if err := e.add(strings.ToLower(strings.TrimSpace(entry))); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

func (e *Exceptions) add(entry string) error {
	switch {
	case entry == "":
		return nil
	case entry == "*":
		e.all = true
		return nil
	case strings.Contains(entry, "/"):
		p, err := netip.ParsePrefix(entry)
		if err != nil {
			return fault.New(fault.Invalid, "read no_proxy entry", entry, err).
				WithHint("write a range as 10.0.0.0/8 or fd00::/8")
		}
		e.prefixes = append(e.prefixes, p.Masked())
		return nil
	}
	host, port := entry, ""
	if h, p, err := net.SplitHostPort(entry); err == nil {
		host, port = h, p
	}
	host = strings.Trim(host, "[]")
	host = strings.TrimPrefix(strings.TrimPrefix(host, "*"), ".")
	if host == "" || strings.ContainsAny(host, " *@/") {
		return fault.New(fault.Invalid, "read no_proxy entry", entry, errors.New("is no host, domain or address")).
			WithHint("list hosts, domains, addresses or ranges, for example .example.com, 10.0.0.0/8")
	}
	e.names = append(e.names, exception{host, port})
	return nil
}

// Match reports whether a target ("host:port" or "host") is to be dialed without
// a proxy. Names are not resolved.
func (e *Exceptions) Match(target string) bool {
	if e.all {
		return true
	}
	host, port := target, ""
	if h, p, err := net.SplitHostPort(target); err == nil {
		host, port = h, p
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap().WithZone("")
		for _, p := range e.prefixes {
			if p.Contains(ip) {
				return true
			}
		}
		host = ip.String()
	}
	for _, n := range e.names {
		if n.port != "" && n.port != port {
			continue
		}
		if host == n.host || strings.HasSuffix(host, "."+n.host) {
			return true
		}
	}
	return false
}
