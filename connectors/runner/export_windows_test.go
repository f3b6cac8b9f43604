package runner

// BatchLine is the command line for a batch file, PipeName the runner's address.
var (
	BatchLine = batchLine
	PipeName  = pipeName
)
