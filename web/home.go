package web

import (
	"net/http"
	"time"

	"mintmark/accounts"
)

type homePage struct {
	frame
	Person     person // who is signed in; empty if nobody is
	Admin      bool
	HasKeys    bool // there is a page for API keys
	NeedsSetup bool
	Issuer     string
}

// Discovery is the address of the issuer's metadata.
func (p homePage) Discovery() string { return p.Issuer + "/.well-known/openid-configuration" }

// Home is the start page: who is signed in, and what to do from here.
func (s *Site) Home(w http.ResponseWriter, r *http.Request) error {
	page := homePage{frame: s.frame(s.Name), Issuer: s.Issuer}
	x, a, ok, err := s.Sessions.Current(r, time.Now())
	if err != nil {
		return err
	}
	if ok {
		page.Title = "You are signed in"
		page.Person = showPerson(a, x)
		page.HasKeys = s.APIKeys != nil
		page.Admin = a.Role == accounts.RoleAdmin
		return s.show(w, http.StatusOK, "home", page, allow{})
	}
	if page.NeedsSetup, err = s.Directory.NeedsSetup(r.Context()); err != nil {
		return err
	}
	if page.NeedsSetup {
		page.Title = "Not set up yet"
	}
	return s.show(w, http.StatusOK, "home", page, allow{})
}
