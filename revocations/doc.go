// Package revocations answers: what is good no longer, and who must hear of it?
//
// A service that verifies tokens by itself learns nothing from a signature that was good when
// it was made. Therefore every verb that takes something back writes down what it was, in the
// same transaction, as a [Revocation]. Services that hold a connection to any copy of the
// server are told within a second; the others ask, or begin with everything that is still
// of interest.
//
// A [Hub] is one copy's part in this. It reads what is new while somebody listens, several
// times a second, and hands it to every [Listener]. It waits for none of them: whoever is too
// slow is dropped, comes back, and says up to where it had heard.
//
// # Where somebody was
//
// Transactions become visible in another order than they began, so there is no counter that
// a reader could simply continue at. A [Place] says what its reader has seen: everything below
// Low, and of what is above some. Services remember Low and the epoch. That means the same on
// every copy; to begin again there tells some things twice and leaves nothing out.
//
// After a crash, on a standby that takes over and in a copy of the database, numbers are given
// again that were given before, to transactions of which nothing is left. Whoever went on from there would
// miss what has them now. Therefore each of these begins a new epoch, and whoever comes from another
// begins anew.
package revocations
