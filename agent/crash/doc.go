// Package crash holds the crash test of the whole agent: it kills agents with
// SIGKILL, hundreds of times, while a simulated instance misbehaves, and then
// compares the instance's records and the effects on this machine with what was
// asked for. The agents' own book-keeping is not believed.
//
//	go test -v ./agent/crash -kills 200 -timeout 30m
//	go test ./agent/crash -long 2h -timeout 3h
//	go test ./agent/crash -kills 200 -seed N
//
// A part of the kills hits the real program at random moments. For the others
// the test's own binary is the agent, with hooks around every write to the
// queue and every request to the instance; it kills itself before or after the
// N-th one of a kind. A table at the end tells how often each such point was
// hit, and a run of 200 kills or more fails where one never was. Some rounds
// kill the runner as well.
//
// Required at the end: nothing lost, nothing run twice, nothing reported twice,
// the whole output and the exit code of every program; an outcome is unknown
// only where the runner died during a command, or the agent during a call that
// it makes itself and that must not be repeated.
//
// Imports: nothing; its tests import agent, agent/demo and agent/simulator.
package crash
