// Package faults answers: what does the server promise when everything around it breaks, and
// does it keep that?
//
// It runs the built program as its users do, in one copy on SQLite and in several on one
// PostgreSQL, under a load of sign-ins, refreshes, revocations and admin writes. Meanwhile it
// kills copies, stops and continues them, takes the database away, fills the disk, and sits
// between server and database to lose just the message that matters. Nothing inside of the
// server helps it: what is proved is what clients see.
//
// Every client writes what it is about to send to a [Journal] before it sends it, and the
// answer afterwards. The [Oracle] reads the journal when everything has recovered. A request
// without an answer, or with 503, may have happened or not; every other answer is binding, for
// ever. The oracle shows everything again that was spent or revoked, and then judges the whole
// journal, and the rows in the database as a second opinion:
//
//   - What can be used once was used once: codes, the answer to an authorization request, the
//     jti of a client assertion. A refresh token has one successor, however often it is shown.
//   - A family of refresh tokens that has ended stays ended, and one that was not ended by
//     anybody is alive: a client that did not get an answer asks again, and is not punished.
//   - What was acknowledged is there: people, applications, consents, revocations, keys.
//   - Nothing is accepted after an acknowledged revocation, beyond the second that other copies
//     may take to hear that a client is gone.
//   - Every token that was ever given out verifies with the published keys.
//   - Nobody sees a 500. A refusal for now is 503 with Retry-After.
//
// # Reading order
//
//   - journal.go: what is written down.
//   - node.go, proxy.go, clocks.go: the parts that break.
//   - client.go, load.go, acts.go: the clients and what they do.
//   - oracle.go, oracle_sql.go, recheck.go: what is judged.
//   - the tests: one for each kind of fault.
//
// # Running
//
// The tests take two to three minutes. A longer run says how long each campaign takes, and a seed
// that failed is run again:
//
//	MINTMARK_FAULTS=10m MINTMARK_SEED=12345 go test -timeout 0 -v ./conformance/faults
//
// The seed decides what every client does in which order, and which faults come when. What the
// operating system makes of that is its own affair: the same seed is the same schedule, and not
// the same interleaving.
package faults
