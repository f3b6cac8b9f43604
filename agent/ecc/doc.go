// Package ecc holds the messages of the ServiceNow ECC queue and their XML:
// payloads in, results out. All functions are pure and safe for concurrent use;
// they read no clock, no file and no network.
//
// An output message ([FromRecord]) carries a payload ([ParsePayload]); both
// together give the effective parameters ([Effective]). What came of it is a
// [Result], written with an echo of every record field and payload parameter,
// and travels back in the message that [Input] makes.
//
// # Bad input
//
// A payload is read by a scanner of our own, because the memory that
// encoding/xml takes for attributes is many times that of its input. It reads
// XML 1.0 without a document type declaration: no entity but the five built-in
// ones exists, so none can be expanded. What it returns are parts of the input
// string. Depth, attributes of one element and parameters are bounded; anything
// else that is not well-formed is refused with a [fault.Invalid] that names the
// line.
//
// # Text that XML cannot hold
//
// XML 1.0 has no way to write most control characters, not even escaped. They
// are written as the Unicode picture of themselves: NUL as ␀ (U+2400), ESC as ␛
// (U+241B), and so on, so that a person can still read what a program printed.
// Each byte that is not UTF-8, lone surrogates, U+FFFE and U+FFFF become U+FFFD.
// Tab, newline and carriage return arrive exactly as they were. [Sanitize] does
// the same to a string.
//
// Imports: agent/fault, golang.org/x/text (code pages).
package ecc
