package policy

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// errHost refuses a host that could be read in more than one way.
var errHost = errors.New("the host is neither a plain name nor an address in its usual form")

// host is a host in its one form: an address or a name in lower case.
type host struct {
	name string
	addr netip.Addr
}

// parseHost brings a host into its one form. What resolvers and programs would
// read differently (0x7f.1, 127.1, 010.0.0.1, a zone, a name that is not ASCII)
// is refused. An IPv4 address inside IPv6 is the IPv4 address.
func parseHost(text string) (host, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(inner, ":") {
			return host{}, errHost
		}
		text = inner
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return host{}, errHost
		}
		return host{addr: addr.Unmap()}, nil
	}
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is4() {
		return host{addr: addr}, nil // 10.0.0.1.
	}
	if !plainName(name) {
		return host{}, errHost
	}
	return host{name: name}, nil
}

// plainName reports whether a text is a host name that nothing takes for an
// address: the last label is no number in any notation.
func plainName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789-_", label[i]) < 0 {
				return false
			}
		}
		last = label
	}
	return !numeric(last)
}

func numeric(label string) bool {
	hex, isHex := strings.CutPrefix(label, "0x")
	digits := "0123456789"
	if isHex {
		label, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}

// hostPattern is one entry of a rule's hosts: a prefix of addresses, or a name
// in which stars stand for one or more characters.
type hostPattern struct {
	prefix netip.Prefix
	parts  []string
}

var (
	errHostStar    = errors.New("it would fit every host; leave hosts out instead")
	errHostPattern = errors.New("it is no host name, no address, no range such as 10.0.0.0/8 and no pattern")
)

func parseHostPattern(text string) (hostPattern, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return hostPattern{}, errHostPattern
		}
		if p.Addr().Is4In6() {
			return hostPattern{}, errHostPattern
		}
		return hostPattern{prefix: p.Masked()}, nil
	}
	if !strings.Contains(text, "*") {
		h, err := parseHost(text)
		if err != nil {
			return hostPattern{}, errHostPattern
		}
		if h.name == "" {
			return hostPattern{prefix: netip.PrefixFrom(h.addr, h.addr.BitLen())}, nil
		}
		return hostPattern{parts: []string{h.name}}, nil
	}
	text = strings.ToLower(text)
	if strings.Trim(text, "*.") == "" {
		return hostPattern{}, errHostStar
	}
	if strings.Trim(text, "0123456789.*") == "" {
		return addressPattern(text)
	}
	if !plainName(strings.ReplaceAll(text, "*", "x")) {
		return hostPattern{}, errHostPattern
	}
	return hostPattern{parts: strings.Split(text, "*")}, nil
}

// addressPattern reads 10.*, 10.0.* and 10.0.0.*: they are addresses only, or
// the name 10.0.evil.example would fit.
func addressPattern(text string) (hostPattern, error) {
	head, ok := strings.CutSuffix(text, ".*")
	if !ok || strings.Contains(head, "*") || strings.Count(head, ".") > 2 {
		return hostPattern{}, errHostPattern
	}
	octets := strings.Count(head, ".") + 1
	addr, err := netip.ParseAddr(head + strings.Repeat(".0", 4-octets))
	if err != nil {
		return hostPattern{}, errHostPattern
	}
	return hostPattern{prefix: netip.PrefixFrom(addr, 8*octets)}, nil
}

func (p *hostPattern) matches(h host) bool {
	if len(p.parts) == 0 {
		return h.addr.IsValid() && p.prefix.Contains(h.addr)
	}
	if h.name == "" {
		return false
	}
	if len(p.parts) == 1 {
		return p.parts[0] == h.name
	}
	return glob(p.parts, h.name)
}

// glob matches literal parts with a star of one or more characters between.
func glob(parts []string, text string) bool {
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, lit := range parts[1 : len(parts)-1] {
		if text == "" {
			return false
		}
		at := strings.Index(text[1:], lit)
		if at < 0 {
			return false
		}
		text = text[1+at+len(lit):]
	}
	last := parts[len(parts)-1]
	return len(text) > len(last) && strings.HasSuffix(text, last)
}

// Hosts is a list of host patterns, as rules and credentials have them. It is
// safe for concurrent use.
type Hosts struct{ patterns []hostPattern }

// ParseHosts reads host patterns: names, *.example.com, addresses, 10.0.* and
// 10.0.0.0/8. The error names the first that is none.
func ParseHosts(list []string) (Hosts, error) {
	var h Hosts
	for _, text := range list {
		p, err := parseHostPattern(text)
		if err != nil {
			return Hosts{}, fault.New(fault.Invalid, "read host", strconv.Quote(text), err).
				WithHint("write a name, *.example.com, an address, 10.0.* or 10.0.0.0/8")
		}
		h.patterns = append(h.patterns, p)
	}
	return h, nil
}

// Match reports whether a host is in the list. A host that could be read in
// more than one way is in no list, and an empty list holds no host.
func (h Hosts) Match(text string) bool {
	one, err := parseHost(text)
	if err != nil {
		return false
	}
	for i := range h.patterns {
		if h.patterns[i].matches(one) {
			return true
		}
	}
	return false
}
