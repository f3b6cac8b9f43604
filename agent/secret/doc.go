// Package secret keeps secrets out of everything that is written down.
//
// A configuration holds references ([Ref]: "env:NAME", "file:/path",
// "systemd:NAME"), never a secret. A [Resolver] turns a reference into a
// [Value], which prints as "***" wherever it is printed, and tells the value to
// a [Redactor]. The redactor is the one point through which logs, reports,
// status and errors leave: it knows every value that was resolved and replaces
// it in text, in the encodings in which secrets are usually met.
//
// The redactor is the second line of defense. It cannot know a secret that was
// transformed beyond recognition (compressed, encrypted, base64 broken into
// lines in the middle of the secret), and does not look for values of fewer
// than [MinRunes] characters, which would be found everywhere.
//
// Imports: agent/fault and the standard library only.
package secret
