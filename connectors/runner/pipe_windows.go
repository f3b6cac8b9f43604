package runner

import "os"

// inputPipe makes the pipe of a child's input.
func inputPipe() (child, feed *os.File, err error) { return os.Pipe() }

// outputPipe makes the pipe of one of a child's outputs.
func outputPipe() (from, child *os.File, err error) { return os.Pipe() }
