// Package runner starts and supervises every child process of Sallyport, in
// one long-lived process of its own that outlives the agent.
//
// [Serve] is that process's main; a [Client] is how connectors reach it, over a
// unix socket or a named pipe and never over the network. An agent that
// crashed, was upgraded or restarted asks [Client.Lookup] what became of its
// jobs and takes their complete output and exit code.
//
// # Truth
//
// The state folder holds, for attempt N of the job with file name KEY:
//
//	lock          held by the one runner of this folder
//	start.lock    held while Ensure looks for a runner or starts one
//	runner.sock   the unix socket (Linux)
//	runner.log    what a forked runner logs
//	jobs/KEY@N.job    the job's record: one JSON document a line, appended
//	jobs/KEY@N.out    what it wrote to standard output, if anything
//	jobs/KEY@N.err    what it wrote to standard error, if anything
//	jobs/KEY@N.fence  attempts up to N can never start any more
//
// The first line of a record is *begun*. Its name is taken exclusively, and it
// is durable before the child process starts. The second line is
// the child's identity and the third how it ended. The end is written before
// anyone is told, so that it outlives the runner, and it and the output are
// synced a moment later unless somebody has taken them by then: a power cut in
// that moment makes the job Lost. An incomplete last line does not count. What a dying runner leaves:
//
//   - before the record exists: nothing was started. Lookup leaves a fence, so
//     that a start that is still on its way is refused, and answers Fenced.
//   - a record without an end, whether or not it has an identity: the job may
//     have run. The next runner kills what is left of it and answers Lost.
//   - a record with an end: Exited, with the whole output.
//
// The record fits the block that its first line occupies, so that a full disk
// does not keep an end from being written.
//
// The file of a forgotten job is emptied and used again under the name of the
// next, because to replace what a durable file holds takes one flush of the disk, and to
// make a new one durable takes several. That name is not synced: after a power
// cut the file may have the earlier one, and so what a record says counts
// before its name. Its lines name its nonce, so that a mixture with what the
// file held before is not taken for an end.
//
// There is no helper process beside each child that would outlive a killed
// runner: starting one costs more than the child itself, and its gain would be
// only in the one case where somebody kills the runner.
//
// # Trees
//
// A job's processes end together. On Linux each job gets its own control group
// (version 2) where the runner may create one, and it is killed as one. Where
// it may not, the runner is the subreaper of its children and finds them by
// session, by ancestry and by a nonce in their environment. On Windows each
// job is a job object. A timeout or cancel asks politely first (SIGTERM; on
// Windows there is no such thing for a process without a console), waits the
// grace period and then kills.
//
// A job ends with its main process: what it left behind in the background is
// killed as soon as nobody holds the output any more, at the latest after
// [Spec.Linger]. A server that should stay belongs to the service manager.
//
// # Output and environment
//
// Output goes through pipes into files, each up to its bound; the rest is read
// and dropped, as it is when the disk is full. A child inherits only the
// variables that [Inherited] names.
//
// # Limits
//
// Memory and CPU are bounded by the job's control group where its controllers
// are available, by the job object on Windows, and otherwise for each process:
// its address space, and a CPU time of cores × timeout.
//
// Imports: connectors, agent/fault, golang.org/x/sys, and go-winio on Windows.
package runner
