// Package journal writes the log of a busy server.
//
// There is a line for each request. To hand each of them to the system by itself, and to go
// through what [log/slog] can do with values of any kind, takes longer than many an answer. So the
// lines of the same moment are written together ([Writer]), and those that are nothing but texts and
// numbers are put down without a detour ([Handler]): the same bytes, sooner.
//
// A line that comes alone is written at once; so is everything up to a warning or an error. A
// server that is killed, or loses its power, may lose the other lines of its last hundredth of a
// second. What must not be lost is in the audit trail, which is in the database.
package journal
