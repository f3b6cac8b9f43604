// Package builtin is the one explicit list of the connectors that are part of
// the program.
//
// Imports: connectors and the connectors themselves.
package builtin
