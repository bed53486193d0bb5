// Package web answers: what do people see?
//
// The issuer sends a browser here when it needs the person: to sign in, to consent, to sign
// out. A page shows what it is about, takes the answer, and sends the browser back to the
// issuer, which decides what comes next. No page knows what comes after it, and none takes
// an address to return to from outside that nobody registered: the request travels sealed through
// the form, bound to the browser that began it; see wayback.go for who comes without one.
//
// Everything works without scripts, in any window from 320 pixels on, in light and dark, with a
// keyboard and with a screen reader. A page is a Go struct and a template of the same name; all
// of them share one layout and one stylesheet. Nothing comes from another host.
//
// # Reading order
//
//   - site.go is what a site needs, and page.go what every page has: its frame, its headers.
//   - login.go, consent.go, logout.go, setup.go, home.go and errorpage.go are the pages.
//   - scopes.go is what an application asks for, in plain words.
//   - form.go reads what the browser sends; static.go serves the stylesheet.
package web
