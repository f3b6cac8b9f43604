// Package report is the durable form of an outcome: the input messages by
// which it will reach the instance, in order, each with its payload.
//
// Dispatch writes a report once, when the outcome is known; delivery reads it,
// as often as it must. A report is a stream of frames, each of one type byte, a
// length (4 bytes, big endian) and that many bytes:
//
//	'P'  begins a part; the bytes are its Header as JSON
//	'D'  payload of the part, at most 64 KiB
//	'.'  ends the report; without it the report is cut
//
// Imports: agent/fault.
package report
