// Package server answers: how do the parts fit?
//
// A [Config] says what to serve. [New] opens the database and builds every part from it;
// [Server.Run] listens, keeps house in the background and, when it is told to end, first
// says that it is not ready, then finishes what it has begun.
//
// A request passes the edge (its id, the client's address, the limits, the headers that
// every answer has), finds its route, and is answered by another package, or refused with an
// error that this package writes. Nothing else writes errors, and each request leaves exactly
// one line in the log, without a secret in it.
//
// # Reading order
//
//   - config.go is what an operator can choose, and what is checked before anything starts.
//   - server.go builds the parts.
//   - routes.go is every address, on one page.
//   - edge.go is what happens to every request before and after its route.
//   - errors.go turns an error into an answer. headers.go is what every answer carries.
//   - address.go says where a request comes from.
//   - run.go is the life of the process, ready.go and metrics.go what it says about itself,
//     jobs.go what it does on its own.
//   - firstrun.go makes the admin key and the set-up link of a new server.
package server
