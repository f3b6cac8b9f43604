// Package control is the local API of a running agent: what `sallyport status`,
// `sallyport jobs` and their like talk to.
//
// It speaks HTTP/1.1 and JSON over a unix socket (Linux) or a named pipe
// (Windows), and never over the network: [Serve] accepts nothing else, so that
// there is no port to find. [Path] tells where it is for a state folder.
//
// # Who may do what
//
// The kernel says who is at the other end; nothing that a caller sends about
// himself counts.
//
//	                      may read              may change
//	Linux    by           mode of the socket    peer credentials (SO_PEERCRED)
//	         who          owner, root, group    root and the agent's own account
//	Windows  by           security descriptor   the token behind the connection
//	         who          SYSTEM, Administrators, the agent's account and group
//	                                            elevated Administrators, SYSTEM,
//	                                            the agent's own account
//
// Without a group ([Options.Group]) nobody else may even connect. A pipe refuses
// logins from the network. A member of the group sees what the agent shows,
// which is redacted; changes are refused with fault.Denied.
//
// # The socket
//
// It is created in the state folder under a temporary name, with its final mode
// from the first moment on, and then renamed into place. A socket that nobody
// answers on belongs to a dead agent and is replaced; one that answers is
// refused with fault.Conflict. Where the path is longer than a socket address
// can be, both sides reach it by way of the folder's descriptor, so that no
// second place is needed.
//
// # Protocol
//
// Every request and answer carries the header Sallyport-Protocol with a number.
// A side accepts its own number and both neighbours, so that agent and CLI can be
// upgraded one after the other. Members that a reader of an answer does not
// know are ignored; members of a change that the agent does not know are an
// error, for what is not understood must not be half done.
//
//	GET  /hello                              protocol, version, pid, caller
//	GET  /status                             Status
//	GET  /jobs?state=&result=&topic=&instance=&limit=   []Job
//	GET  /job?id=                            Detail
//	GET  /output?id=                         the bytes of a report
//	GET  /explain?id=                        Explanation
//	POST /cancel /approve /retry             {"id": …, "force": …}
//	POST /pause /drain /resume               {"note": …}
//
// An error is {"error": {"kind", "code", "op", "subject", "message", "hint",
// "retry_after_ms"}} and becomes the same fault.Error on the caller's side.
//
// Imports: agent/fault, queue (for its ErrNotFound and ErrConflict),
// golang.org/x/sys, and go-winio on Windows.
package control
