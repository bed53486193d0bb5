// Package storagetest answers: does this database keep the promises?
//
// [Each] runs a test on SQLite and on PostgreSQL, each time on an empty database of its
// own. [Run] holds a database to every promise that the Store interfaces make in their
// comments, with goroutines racing, through several copies of the server, for everything
// that may happen only once.
//
// PostgreSQL is started from Go, once for each test program, from what the system has
// installed: nothing has to run before and nothing runs afterwards. Where there is none the
// test is skipped with a sentence that says how to get it, or fails if
// MINTMARK_REQUIRE_POSTGRES is 1, as it is where it must not be forgotten. TEST_POSTGRES
// names a server to use instead.
package storagetest
