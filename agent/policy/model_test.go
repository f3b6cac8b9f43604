package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/policy"
)

var (
	wordPool    = []string{"/opt/a", "/opt/b", "x", "y", "-f", "..", "a.b", "x=y", "ü", "--k=v", "''", "'a b'"}
	patternPool = []string{"/opt/a *", "/opt/a", "/opt/* x", "/opt/b x *", "/opt/b x=*", "/opt/a x y", "/opt/*", "/opt/a --k=* *", "/opt/a '' x"}
)

func randomRules(rng *rand.Rand) []policy.Rule {
	var rules []policy.Rule
	for i := range 1 + rng.IntN(8) {
		r := policy.Rule{Name: fmt.Sprint("r", i)}
		if rng.IntN(5) == 0 {
			r.Deny = []string{"Command"}
		} else {
			r.Allow = []string{"Command"}
			r.Hold = rng.IntN(4) == 0
		}
		for range 1 + rng.IntN(2) {
			r.Names = append(r.Names, patternPool[rng.IntN(len(patternPool))])
		}
		if rng.IntN(3) == 0 {
			r.Instances = []string{"prod"}
		}
		if rng.IntN(3) == 0 {
			r.Hosts = []string{"*.example.com", "10.0.*"}
		}
		rules = append(rules, r)
	}
	return rules
}

func randomRequest(rng *rand.Rand) policy.Request {
	text := wordPool[rng.IntN(2)]
	for range rng.IntN(4) {
		text += " " + wordPool[rng.IntN(len(wordPool))]
	}
	r := command(text)
	r.Instance = []string{"prod", "dev"}[rng.IntN(2)]
	r.Host = []string{"", "a.example.com", "10.0.0.1", "b.test"}[rng.IntN(4)]
	return r
}

// model is a second, slow reading of the rules: patterns as a search over all
// ways to give words and characters to the stars.
func model(rules []policy.Rule, r policy.Request) (allow, hold, denied bool) {
	for _, rule := range rules {
		deny := len(rule.Deny) > 0
		if len(rule.Instances) > 0 && rule.Instances[0] != r.Instance {
			continue
		}
		if len(rule.Hosts) > 0 && !strings.HasSuffix(r.Host, ".example.com") && !strings.HasPrefix(r.Host, "10.0.") {
			continue
		}
		for _, n := range rule.Names {
			if modelWords(strings.Fields(strings.ReplaceAll(n, "''", "\x01")), r.Subject.Words, deny) {
				switch {
				case deny:
					denied = true
				case rule.Hold:
					hold = true
				default:
					allow = true
				}
			}
		}
	}
	if denied {
		return false, false, true
	}
	return allow && !hold, hold, false
}

func modelWords(pattern, words []string, free bool) bool {
	if len(pattern) == 0 {
		return len(words) == 0
	}
	if len(pattern) == 1 && pattern[0] == "*" {
		for _, w := range words {
			if !free && !modelStar(w) {
				return false
			}
		}
		return free || len(words) > 0
	}
	if len(words) == 0 {
		return false
	}
	return modelWord(strings.ReplaceAll(pattern[0], "\x01", ""), words[0], free) && modelWords(pattern[1:], words[1:], free)
}

func modelWord(pattern, word string, free bool) bool {
	head, tail, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == word
	}
	if !strings.HasPrefix(word, head) {
		return false
	}
	if !free && strings.Contains(word, "..") {
		return false
	}
	rest := word[len(head):]
	for n := 0; n <= len(rest); n++ {
		if (free || modelStar(rest[:n])) && modelWord(tail, rest[n:], free) {
			return true
		}
	}
	return false
}

func modelStar(s string) bool {
	return s != "" && s[0] != '-' && !strings.Contains(s, "..") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@=,+-") == ""
}
