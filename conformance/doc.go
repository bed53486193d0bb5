// Package conformance answers: is it true?
//
// Its tests are stories, named by the section of the standard that they prove, told
// against the whole server on SQLite and on PostgreSQL. Below it, clients/ lets
// other people's libraries sign in and verify, browser/ does it with a real browser, and
// oidf/ asks the OpenID Foundation's suite; faults/ breaks everything around the server, and
// load/ measures it.
//
// What the package itself exports is the vocabulary of those stories: [Start] runs the
// built program as an operator would, [Person] is a person at a browser who reads
// pages, fills in their forms and follows where they lead.
package conformance
