// Package upstream signs people in with an account that they have somewhere else.
//
// A person presses the button of a provider. Their browser goes there with a state, a nonce
// and a PKCE challenge that were made for this one attempt, and takes a sealed cookie with it
// ([Registry.Begin]). It comes back with a code. Only if the code comes to the provider's own
// callback, with the state of this browser's cookie, in time and for the first time, is
// the provider spoken to at all ([Registry.Finish]): the code is exchanged, the ID token or
// the user's document is taken apart, and what is left is an [Identity]: the provider
// and its name for the person. Which account of ours that is, package accounts decides. An
// e-mail address is never more than a hint here.
//
// Everything that a provider sends was sent by a stranger. It is bounded in size, depth and
// time, it is compared with what was asked for, and whatever is not as it must be is a
// [Refusal]: words for the person, a cause for the log. A provider that is down costs
// nobody else anything: see [Registry] and breaker.go.
//
// # Reading order
//
//   - provider.go is a provider as it is stored; kind.go the table of the kinds, which is what
//     their documentation says; store.go what must be remembered.
//   - begin.go and finish.go are the two halves of a sign-in; attempt.go is what the cookie
//     keeps between them, and posted.go how an answer by POST becomes one that brings cookies.
//   - connector.go asks whose a token is that says nothing by itself; asking.go bounds how often.
//   - idtoken.go is the list of everything that an ID token must satisfy, with sections.
//   - refusal.go is everything that is refused, and the words for it.
package upstream
