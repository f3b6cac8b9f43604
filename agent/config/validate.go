package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/sallyport-agent/sallyport/agent/policy"
)

// validator collects what the schema alone cannot see.
type validator struct {
	c    *Config
	out  Problems
	skip map[string]bool // keys that have a problem already
}

// validate checks the values against each other. Keys that were reported
// already are not reported again.
func (c *Config) validate(before Problems) Problems {
	v := &validator{c: c, skip: map[string]bool{}}
	for _, p := range before {
		v.skip[p.Key] = true
	}
	v.agent()
	for i := range c.Instances {
		v.instance(element("instance", i), &c.Instances[i])
	}
	v.unique("instance", names(c.Instances, func(i Instance) string { return i.Name }))
	for i := range c.Credentials {
		v.credential(element("credential", i), &c.Credentials[i])
	}
	v.unique("credential", names(c.Credentials, func(x Credential) string { return x.Name }))
	for i := range c.Connectors {
		v.name(element("connector", i)+".name", c.Connectors[i].Name)
	}
	v.unique("connector", names(c.Connectors, func(x Connector) string { return x.Name }))
	v.rules()
	v.variables()
	return v.out
}

// add reports a problem at a key, unless the key has one.
func (v *validator) add(key, message, hint string) {
	if v.skip[key] {
		return
	}
	v.out = append(v.out, v.c.place(key).problem(key, message, hint))
}

// place returns where a key stands, or the nearest key above it.
func (c *Config) place(key string) mark {
	for key != "" {
		if o, ok := c.origins[key]; ok && o.at.src != nil {
			return o.at
		}
		at := strings.LastIndexAny(key, ".[")
		if at < 0 {
			break
		}
		key = key[:at]
	}
	return mark{}
}

func names[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = name(e)
	}
	return out
}

func (v *validator) unique(key string, list []string) {
	for i, name := range list {
		if first := slices.Index(list, name); name != "" && first < i {
			v.add(element(key, i)+".name", fmt.Sprintf("the name %q is used twice", name), "give each a name of its own")
		}
	}
}

func (v *validator) agent() {
	c := v.c
	if why := agentName(c.Name); why != "" {
		v.add("name", why, "use letters, digits, spaces and ._-()")
	}
	for key, path := range map[string]string{"state_dir": c.StateDir, "log.file": c.Log.File, "control.socket": c.Control.Socket} {
		if path != "" && !absolute(path) {
			v.add(key, "it must be an absolute path", "write the path from the root on")
		}
	}
	if len(c.Instances) == 0 {
		v.add("instance", "no instance is configured", "add an [[instance]] section with name, url, username and password")
	}
}

// absolute accepts the paths of this platform, and rooted ones everywhere, so
// that a sample loads on each.
func absolute(path string) bool {
	return filepath.IsAbs(path) || strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\\.\pipe\`)
}

// agentName returns what is wrong with an agent's name. Names of MID Servers
// hold spaces; the characters of encoded queries and XML cannot be part of one.
func agentName(name string) string {
	switch {
	case name == "":
		return "" // reported as missing
	case len(name) > 80:
		return "the name is longer than 80 bytes"
	case strings.TrimSpace(name) != name:
		return "the name begins or ends with a space"
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" ._-()", r) {
			return fmt.Sprintf("the name has the character %q", r)
		}
	}
	return ""
}

// name checks the name of a credential or target.
func (v *validator) name(key, name string) {
	if name != "" && !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`).MatchString(name) {
		v.add(key, fmt.Sprintf("%q is no name", name), "use letters, digits, - and _, at most 64")
	}
}

func (v *validator) instance(key string, in *Instance) {
	if in.Name != "" && !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`).MatchString(in.Name) {
		v.add(key+".name", fmt.Sprintf("%q is no name of an instance", in.Name), "use a-z, 0-9 and -, at most 40")
	}
	if in.URL != "" {
		if why, hint := instanceURL(in.URL); why != "" {
			v.add(key+".url", why, hint)
		}
	}
	v.login(key, in)
	if in.Proxy.URL != "" {
		u, err := url.Parse(in.Proxy.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			v.add(key+".proxy.url", "it is no address of a proxy", "write http://proxy.example.com:3128")
		case u.User != nil:
			v.add(key+".proxy.url", "it holds a user", "set proxy.username and proxy.password")
		}
	}
	if (in.Proxy.Auth == "basic" || in.Proxy.Auth == "ntlm") && (in.Proxy.Username == "" || in.Proxy.Password.IsZero()) {
		v.add(key+".proxy.auth", in.Proxy.Auth+" needs a user and a password", "set proxy.username and proxy.password")
	}
	for _, f := range append([]string{in.MTLS.Cert}, in.TLS.CAFiles...) {
		if f != "" && !absolute(f) {
			v.add(key, fmt.Sprintf("%q is not an absolute path", f), "write the path from the root on")
		}
	}
}

// login checks that the instance can be logged in to in exactly one way.
func (v *validator) login(key string, in *Instance) {
	password := in.Username != "" && !in.Password.IsZero()
	oauth := in.OAuth.ClientID != ""
	mtls := in.MTLS.Cert != ""
	if (in.Username != "") != !in.Password.IsZero() && !v.skip[key+".password"] {
		v.add(key+".username", "username and password go together", "set both")
	}
	if oauth == in.OAuth.ClientSecret.IsZero() && !v.skip[key+".oauth.client_secret"] {
		v.add(key+".oauth", "client_id and client_secret go together", "set both")
	}
	if mtls == in.MTLS.Key.IsZero() && !v.skip[key+".mtls.key"] {
		v.add(key+".mtls", "cert and key go together", "set both")
	}
	if oauth && in.OAuth.Grant == "password" && !password {
		v.add(key+".oauth.grant", "the grant password needs a user", "set username and password")
	}
	if oauth && in.OAuth.Grant == "refresh_token" && in.OAuth.RefreshToken.IsZero() {
		v.add(key+".oauth.grant", "the grant refresh_token needs a first token", "set oauth.refresh_token")
	}
	if !password && !oauth && !mtls && in.Username == "" && !v.skip[key+".password"] {
		v.add(key, "there is no way to log in", "set username and password, or [instance.oauth], or [instance.mtls]")
	}
}

// instanceURL returns what is wrong with an instance's address.
func instanceURL(text string) (why, hint string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return "it is no address", "write https://example.service-now.com"
	case u.User != nil:
		return "it holds a user", "set username and password"
	case u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return "it holds more than the instance's address", "write https://" + u.Host
	case u.Scheme == "https":
		return "", ""
	case u.Scheme == "http" && loopback(u.Hostname()):
		return "", ""
	case u.Scheme == "http":
		return "http:// would show the password to the network", "write https://" + u.Host
	default:
		return "it is no https:// address", "write https://" + u.Host
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func (v *validator) credential(key string, c *Credential) {
	v.name(key+".name", c.Name)
	if c.Password.IsZero() && c.PrivateKey.IsZero() && !v.skip[key+".password"] && !v.skip[key+".private_key"] {
		v.add(key, "it holds no secret", "set password or private_key")
	}
	if _, err := policy.ParseHosts(c.Hosts); err != nil {
		message, hint := messageOf(err)
		v.add(key+".hosts", message, hint)
	}
	if len(c.Hosts) == 0 {
		v.add(key+".hosts", "it is usable towards no host", "list the hosts that it is for")
	}
}

func (v *validator) rules() {
	c := v.c
	for _, p := range policy.Check(c.Policy.Rules) {
		v.add(element("policy.rule", p.Rule)+"."+p.Field, p.Err.Error(), p.Hint)
	}
	instances := names(c.Instances, func(i Instance) string { return i.Name })
	credentials := names(c.Credentials, func(x Credential) string { return x.Name })
	for i, r := range c.Policy.Rules {
		key := element("policy.rule", i)
		v.refer(key+".instances", "instance", r.Instances, instances)
		v.refer(key+".credentials", "credential", r.Credentials, credentials)
	}
}

// refer checks that names are those of something configured.
func (v *validator) refer(key, what string, used, known []string) {
	for _, name := range used {
		if slices.Contains(known, name) {
			continue
		}
		hint := "add a [[" + what + "]] of that name, or remove it here"
		if best := nearest(name, known); best != "" {
			hint = "did you mean " + best + "?"
		}
		v.add(key, fmt.Sprintf("there is no %s %q", what, name), hint)
	}
}

// variables refuses two keys that one environment variable would set.
func (v *validator) variables() {
	seen := map[string]string{}
	for _, l := range v.c.leaves() {
		if l.Env == "" {
			continue
		}
		if other, twice := seen[l.Env]; twice && other != l.Key {
			v.add(l.path, "it has the same environment variable as "+other, "rename one of the two")
		}
		seen[l.Env] = l.Key
	}
}
