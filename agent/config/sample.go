package config

import _ "embed" // the sample is a file, so that it reads as one

//go:embed sample.toml
var sample string

// Sample returns a commented configuration to begin with. It loads as it is.
func Sample() string { return sample }
