// Sallyport is an agent between ServiceNow and the systems behind a firewall:
// it takes work from the ECC queue, runs it here, and reports every result. It
// only dials out.
//
// This package is the program: flags, rendering and exit codes. What the
// commands do is elsewhere.
//
// # Flags of every command
//
//	--config FILE      the configuration; the platform's usual place without it
//	--control ADDRESS  socket or pipe of the running agent; what the
//	                   configuration says without it
//	--output FORM      text, json or schema
//	--no-color         no colors; the variable NO_COLOR does the same
//
// # Output
//
// With --output json every command writes exactly one JSON document to standard
// output, and a failed one writes exactly one object to standard error:
//
//	{"kind": "denied", "message": "...", "hint": "...", "code": 4}
//
// "code" is the exit code. Mistakes in a configuration are listed under
// "problems". With --output schema a command does nothing but write the JSON
// Schema (2020-12) of the document that it would write with --output json; it
// is made from the types of this program. Members may be added in any version;
// none is removed or changes its meaning within a major version.
//
// In text, whatever came from an instance or a program is stripped of control
// characters before it reaches a terminal.
//
// # Exit codes
//
// They are stable.
//
//	0    done
//	1    internal: a defect of this program
//	2    usage: a command, flag or argument that does not exist or is malformed
//	3    the configuration is invalid
//	4    denied: by the system, the agent, the policy or the instance
//	5    unavailable: no agent answers, a network or a disk fails, a time bound
//	     was reached, or it is not known whether the change was made
//	6    the queue is locked by another process
//	7    the queue is corrupt, or was written by a newer version
//	8    it works, but not well: doctor found problems, status is unhealthy
//	9    not found, or in a state that does not admit the request
//	130  interrupted
//
// Imports: everything of Sallyport; cobra and kardianos/service here alone.
package main
