package web

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"mintmark/accounts"
	"mintmark/upstream"
)

// A navItem is an entry of the account pages' navigation.
type navItem struct {
	Text, Address string
	Here          bool
}

// accountNav is the account pages, in order.
var accountNav = []navItem{{Text: "Account", Address: PathAccount}, {Text: "API keys", Address: PathKeys}}

// nav returns the navigation of an account page, or nothing if there is nowhere else to go.
func (s *Site) nav(here string) []navItem {
	if s.APIKeys == nil {
		return nil
	}
	items := slices.Clone(accountNav)
	for i := range items {
		items[i].Here = items[i].Address == here
		items[i].Address = s.path(items[i].Address)
	}
	return items
}

// ownPage reads a request for an account page, and whose it is. If ok is false there is nothing more to do:
// err says why, or whoever is not signed in has been sent to sign in and come back.
func (s *Site) ownPage(w http.ResponseWriter, r *http.Request, path string, now time.Time) (form url.Values, x accounts.Session, a accounts.Account, ok bool, err error) {
	form, err = readForm(w, r)
	if err != nil {
		return nil, x, a, false, err
	}
	x, a, ok, err = s.Sessions.Current(r, now)
	if err == nil && !ok {
		sendTo(w, s.loginPath(upstream.Purpose{Return: path}, false))
	}
	return form, x, a, ok && err == nil, err
}

// A when is a time for people and for programs.
type when struct{ Text, Exact string }

func at(t time.Time) when {
	if t.IsZero() {
		return when{}
	}
	t = t.UTC()
	return when{t.Format("2 Jan 2006, 15:04 UTC"), t.Format(time.RFC3339)}
}
