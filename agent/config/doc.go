// Package config is the configuration of an agent: its schema, and how it is
// loaded, checked, explained, shown and compared.
//
// A configuration is a TOML file and the files of the folder conf.d beside it,
// in lexical order: tables are merged, arrays of tables are appended, and of a
// key that is set twice the later file wins. A flag wins over an environment
// variable SALLYPORT_*, that over the files, and those over the default. The
// policy alone comes from files only: who reviews what may run must find all
// of it in one place.
//
// A key that is not known is an error. All mistakes are reported at once, each
// with file, line, an excerpt and a remedy; no message shows a secret, even
// one that stands where a reference belongs.
//
// Imports: agent/fault, agent/secret, agent/policy, connectors, go-toml and
// the standard library.
package config
