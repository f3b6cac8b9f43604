// Package command runs local commands: the MID Server's topic Command and the
// native action command.run.
//
// A command is an argument vector that a policy rule allows; a shell takes part
// only where the rule says so. The runner starts it, so that it outlives the
// agent, and this package finds it again by the job's id.
//
// A non-zero exit code is no failure, as with the MID Server, whose scripts
// judge by an empty <stderr/>; it is carried in the attribute exit_code of
// <result>. A command that could not be started, or that was ended for its
// timeout, a limit or a stop of the runner, is a failure.
//
// Output arrives as text: UTF-16 (with a byte order mark or by its looks),
// UTF-8, or else the code page that the settings or the system name. Control
// characters stay; who writes XML decides about them.
//
// Imports: connectors, connectors/runner, agent/fault, golang.org/x/text, and
// golang.org/x/sys on Windows.
package command
