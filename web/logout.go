package web

import (
	"net/http"
	"time"
)

type logoutPage struct {
	frame
	Client  client // the application that asks, if that is proven
	Person  person // who is signed in; empty if nobody is
	Trouble string // why the browser won't return to the application
	Request string // sealed; empty if the person came by themselves
	Action  string
}

// Logout is the page that asks whether to sign out, and the one that says it has happened.
func (s *Site) Logout(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	sealed := form.Get("request")
	if r.Method == http.MethodPost {
		switch form.Get("answer") {
		case "confirm":
			return s.Provider.Logout(w, r, sealed)
		case "cancel":
			sendTo(w, s.path(PathHome))
			return nil
		}
		return refuse("Neither yes nor no was answered.")
	}
	pending, err := s.Provider.PendingLogout(r, sealed)
	if err != nil {
		return err
	}
	x, a, ok, err := s.Sessions.Current(r, time.Now())
	if err != nil {
		return err
	}
	page := logoutPage{frame: s.frame("You are signed out"), Trouble: pending.Problem, Action: s.path(PathLogout)}
	if !ok {
		return s.show(w, http.StatusOK, "logout", page, allow{})
	}
	page.Title = "Sign out?"
	page.Person = showPerson(a, x)
	page.Request = sealed
	if pending.Client != nil {
		page.Client = showClient(*pending.Client, "")
	}
	return s.show(w, http.StatusOK, "logout", page, allow{form: pending.FormAction()})
}
