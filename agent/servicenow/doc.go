// Package servicenow is the client of one ServiceNow instance: Table API,
// Batch API, attachments, and what the doctor needs to look at a connection.
//
// The instance is treated as if it could be hostile, and as something that
// does not always say the truth:
//
//   - Every list is checked against its own filter (query.go, match.go),
//     because an instance drops query terms that it does not understand and
//     answers with the rest of the table.
//   - A write has three ends: done, surely not done, and unknown. An error of a
//     write whose kind is fault.Unknown leaves it open whether the instance
//     carried the write out; an error of any other kind says that it surely did
//     not. classify.go holds the table, trace.go the part before an answer.
//   - Only reads are repeated by the client itself (retry.go). A write is sent
//     again in one case, a refused login that a fresh token or session cures,
//     because a refused login had no effect.
//   - Refused logins stop the client for a growing while (hold.go), so that no
//     account gets locked by an agent.
//   - No redirect is followed, and credentials go to the configured origin alone.
//   - Every answer is read up to a bound.
//
// HTTP/1.1 is used on purpose: there a request is either written to a connection
// or not, which is what the decision about a write rests upon.
//
// Imports: agent/fault, agent/servicenow/proxyauth, agent/servicenow/revocation,
// hashicorp/go-retryablehttp.
package servicenow
