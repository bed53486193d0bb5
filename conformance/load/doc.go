// Package load measures the built program over HTTP, as its users see it: sixteen clients that
// each send the next request when the last answer has come, on both databases with durable
// commits.
//
// The least that a server in Go could do, which signs and answers with fixed bytes, is measured
// in the same run: what it does is the limit of net/http, of these clients and of the machine.
// Clients and servers share the processors, so that rates of one run only compare with each
// other; the CPU time of the server for each operation is the figure that least depends on what
// else runs.
//
//	go test -run '^$' -bench . -benchtime 3s ./conformance/load/
//
// More questions take longer, and are asked by hand: whether anything grows in half an hour
// at 70 % of the peak, and how late answers come meanwhile; and whether an operation costs the
// same among a million people, applications, sessions and authorizations as among a thousand, and
// whether anybody waits while as many are forgotten.
//
//	MINTMARK_SOAK=30m go test -run '^$' -bench Soak -benchtime 1x -timeout 0 -v ./conformance/load/
//	MINTMARK_GROWTH=1000000 go test -run '^$' -bench 'Growth|Purge' -benchtime 1x -timeout 0 -v ./conformance/load/
//
// PostgreSQL is measured if TEST_POSTGRES is the URL of a server: the one that tests start by
// themselves forgets its commits when the power fails. The figures of the last run are in
// docs/operate/proof.md.
package load
