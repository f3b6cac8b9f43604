// Package policy holds the local rules on what may run.
//
// The people on site write rules; nothing runs without one. A [Policy] is
// compiled once from all rules and then decides about jobs: a deny rule that
// fits wins over all others, a rule that holds wins over one that allows, and
// what no rule fits is denied. The order of the rules never matters.
//
// Rules that allow and rules that deny read a doubtful job in opposite ways:
// an allow rule fits only what it surely means (the star of a pattern stands
// for few characters, a host that is written in an odd way fits nothing), a
// deny rule fits whatever it could mean.
//
// Imports: agent/fault, connectors and the standard library only.
package policy
