// Package storage answers: how is it remembered?
//
// Every package above declares what it wants remembered as an interface of its own;
// this one keeps those promises, on SQLite and on PostgreSQL, with one SQL text for both.
//
// A verb, such as "redeem this code", is a list of statements that happen together or
// not at all. There is no logic between them: whether something may happen is said by
// the SQL itself, because only the database sees what the other copies of the server
// are doing at the same moment. The first statement usually carries the condition, and
// the number of rows that it changed is the answer; later ones are conditioned on what
// it did. No transaction is ever open while Go code decides something.
//
// PostgreSQL gets the whole list as one batch: one round trip. SQLite has one writer,
// which takes every verb that waits, runs each in its own savepoint, and commits them
// together with one fsync; each caller is answered after that commit. Reads are one
// statement each and see one moment.
//
// # One text for both
//
// Columns are TEXT, BIGINT, BYTEA and BOOLEAN and are never NULL. Times are microseconds
// since 1970, 0 for "not", and come from the caller: nothing here asks the clock. Lists
// are TEXT, separated by spaces. Parameters are $1, $2, …; SQLite finds them by their number.
//
// # Reading order
//
//   - open.go: opening a database, and what is given out from it.
//   - verb.go: what a statement is, and what the two engines must be able to do.
//   - sqlite.go with groupcommit.go and sqlite_conn.go, and postgres.go with postgres_wait.go: the engines.
//   - migrate.go: how the schema in migrations/ comes about, one process at a time (…_turn.go).
//   - codes.go, refresh.go, authorizations.go, tokens.go, clients.go, consents.go: for issuer.
//   - people.go, sessions.go, counters.go, setup.go: for accounts.
//   - apikeys.go and signingkeys.go: for apikeys and keys.
//   - revoked.go and news.go: for revocations, and how every copy of the server hears of what others did.
//   - changes.go, copies.go, listen.go, leases.go, purge.go, copy.go, condition.go: what the server and its operator need.
package storage
