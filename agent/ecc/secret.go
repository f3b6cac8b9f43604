package ecc

import (
	"slices"
	"strings"
)

// Secret reports whether a parameter of this name holds a secret, going by the
// words that it is made of: password, secret, token, passphrase, private key,
// community and their like. extra are further names that do, in any case.
// Names that only point at a secret kept elsewhere (credential_id) do not.
func Secret(name string, extra ...string) bool {
	for _, e := range extra {
		if strings.EqualFold(name, e) {
			return true
		}
	}
	n := squash(name)
	for _, word := range [...]string{
		"password", "passwd", "passphrase", "pswd", "pwd", "secret", "token", "privatekey", "privkey",
		"authkey", "apikey", "accesskey", "sessionkey", "authorization", "cookie", "connectionstring", "connectionurl",
	} {
		if strings.Contains(n, word) {
			return true
		}
	}
	switch {
	case n == "pkey", n == "sshpkey", n == "community", n == "pass", strings.HasSuffix(n, "communitystring"):
		return true
	case strings.Contains(n, "credential"):
		return !pointer(n)
	default:
		return false
	}
}

// squash drops case and separators, so that privateKey, private_key and
// private-key are one.
func squash(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c | 0x20)
		case c != '_' && c != '-' && c != '.' && c != ' ':
			b.WriteByte(c)
		}
	}
	return b.String()
}

// pointer reports whether a squashed name with "credential" in it names a
// credential, or a switch, rather than holding one.
func pointer(n string) bool {
	for _, end := range [...]string{"id", "ids", "tag", "tags", "alias", "name", "type", "debug", "order"} {
		if strings.HasSuffix(n, end) {
			return true
		}
	}
	return false
}

// encrypted reports whether an instance has encrypted the value: such ones begin
// with "enc:".
func encrypted(v string) bool { return len(v) >= 4 && strings.EqualFold(v[:4], "enc:") }

// hidden reports whether nothing of a parameter's value may leave the agent.
func hidden(p Parameter, extra []string) bool {
	return Secret(p.Name, extra...) || encrypted(p.Value) && echoIndex(p.Name) < 0
}

// SecretValues returns the values of a payload's secret parameters, and the
// passwords inside them, each once, so that a redactor can keep them out of
// logs and reports. extra are further names of secret parameters.
func SecretValues(p Payload, extra ...string) []string {
	var values []string
	seen := map[string]bool{"": true}
	add := func(v string) {
		if !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	for _, q := range p.Parameters {
		if hidden(q, extra) {
			add(q.Value)
			maskInline(q.Value, add)
		}
	}
	return values
}

// Masking bounds: shorter secrets are too likely to be part of other words, and
// more of them than that is no real job.
const (
	minMasked = 4
	maxMasked = 64
	mask      = "***"
)

// masker returns what replaces these secrets in a text, or nil for none.
func masker(secrets []string) *strings.Replacer {
	// At one place the first pair that fits counts: the longest must come first.
	secrets = slices.SortedStableFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*min(len(secrets), maxMasked))
	for _, s := range secrets {
		if len(s) >= minMasked && len(pairs) < 2*maxMasked {
			pairs = append(pairs, s, mask)
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return strings.NewReplacer(pairs...)
}
