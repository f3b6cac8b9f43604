package runner

// BatchLine is the command line for a batch file.
var BatchLine = batchLine
