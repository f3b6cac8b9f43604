// Package midserver is what the agent does because it stands where a MID Server
// stood. So far that is the heartbeat: the instance's monitor asks every five
// minutes, and an agent that does not answer is Down (KB0855595).
//
// Imports: agent/delivery, agent/ecc.
package midserver
