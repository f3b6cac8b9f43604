package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxWould bounds the rule that a denied report carries.
const maxWould = 4 << 10

// would writes the narrowest rule that allows a job, "" where none can be
// written or it would be too long to read.
func would(q *query) string {
	if q.served.Action.Name == "" || q.oddHost {
		return ""
	}
	var b strings.Builder
	b.WriteString("[[policy.rule]]\n")
	line := func(key string, values ...string) {
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = tomlString(v)
		}
		fmt.Fprintf(&b, "%s = [%s]\n", key, strings.Join(list, ", "))
	}
	line("allow", allowName(q))
	if q.Instance != "" {
		line("instances", q.Instance)
	}
	if q.Target != "" {
		line("targets", q.Target)
	}
	if q.served.Action.Subject != nil {
		name, shell := exact(q)
		if name == "" {
			return ""
		}
		line("names", name)
		if shell {
			b.WriteString("shell = true\n")
		}
	}
	var hosts []string
	for _, h := range q.hosts {
		text := h.name
		if text == "" {
			text = h.addr.String()
		}
		if !slices.Contains(hosts, text) {
			hosts = append(hosts, text)
		}
	}
	if len(hosts) > 0 {
		line("hosts", hosts...)
	}
	if q.Credential != "" {
		line("credentials", q.Credential)
	}
	if q.RunAs != "" {
		fmt.Fprintf(&b, "run_as = %s\n", tomlString(q.RunAs))
	}
	b.WriteString(whenLine(q))
	if b.Len() > maxWould || !utf8.ValidString(b.String()) || strings.ContainsRune(b.String(), 0) {
		return ""
	}
	return b.String()
}

// allowName returns the topic in the registry's spelling, or the action.
func allowName(q *query) string {
	for _, t := range q.served.Action.Topics {
		if strings.EqualFold(t, q.Topic) {
			return t
		}
	}
	return q.served.Action.Name
}

// exact returns the pattern that fits this command alone.
func exact(q *query) (name string, shell bool) {
	for _, text := range append([]string{q.Subject.Text}, q.words...) {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return "", false
		}
	}
	if len(q.words) == 0 {
		if strings.TrimSpace(q.Subject.Text) == "" {
			return "", false
		}
		return q.Subject.Text, true
	}
	quoted := make([]string, len(q.words))
	for i, w := range q.words {
		quoted[i] = quoteWord(w)
	}
	return strings.Join(quoted, " "), false
}

// quoteWord writes a word so that a pattern stands for it alone.
func quoteWord(w string) string {
	plain := func(r rune) bool {
		return r > ' ' && r != 0x7f && !strings.ContainsRune("|&;<>()$`*?[]{}~#!^%'\"", r)
	}
	if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return !plain(r) }) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'"'"'`) + "'"
}

// whenLine pins the parameters that a native action declares. A MID topic's
// parameters are the record's own fields and differ with every job.
func whenLine(q *query) string {
	if q.served.Action.Subject != nil {
		return ""
	}
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(q.served.Action.Parameters, &schema); err != nil {
		return ""
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		t, ok := text(q.Params[name])
		if !ok || strings.Contains(t, "*") || isSecret(name) || slices.Contains(q.served.Action.Secrets, name) {
			continue
		}
		pairs = append(pairs, tomlString(name)+" = "+tomlString(t))
	}
	if len(pairs) == 0 {
		return ""
	}
	return "when = { " + strings.Join(pairs, ", ") + " }\n"
}

// isSecret reports whether a parameter's name says that its value is a secret.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "key", "credential"}, func(s string) bool {
		return strings.Contains(name, s)
	})
}

// tomlString writes a TOML basic string.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			// Also what would let the rule look like another to a reader.
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
