package web

import (
	"net/http"
	"net/url"
	"time"
)

type consentPage struct {
	frame
	Client        client
	Person        person
	Scopes        []scope
	Offline       bool
	Policy, Terms string // web pages of the client
	Request       string // sealed
	Action        string
}

// Consent is the page on which a person allows an application something, or doesn't: who
// asks, for what, for how long, and where the browser goes then.
func (s *Site) Consent(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	sealed := form.Get("request")
	if sealed == "" {
		return refuse("This page belongs to an application that asks for access, and none does. Go back to the application and start again.")
	}
	if r.Method == http.MethodPost {
		return s.answer(w, r, sealed, form.Get("answer"))
	}
	pending, err := s.Provider.Pending(r, sealed)
	if err != nil {
		return err
	}
	x, a, ok, err := s.Sessions.Current(r, time.Now())
	if err != nil {
		return err
	}
	if !ok {
		sendTo(w, s.Provider.ResumeURL(sealed)) // what is missing is decided there
		return nil
	}
	page := consentPage{
		frame:   s.frame("Allow access"),
		Client:  showClient(pending.Client, pending.RedirectHost),
		Person:  showPerson(a, x),
		Policy:  webPage(pending.Client.PolicyURI),
		Terms:   webPage(pending.Client.TermsURI),
		Request: sealed,
		Action:  s.path(PathConsent),
	}
	page.Scopes, page.Offline = readScopes(pending.Scopes)
	return s.show(w, http.StatusOK, "consent", page, allow{form: pending.FormAction()})
}

// answer takes the person's answer to the issuer. That the answer comes from whom the page was
// shown to is checked there.
func (s *Site) answer(w http.ResponseWriter, r *http.Request, sealed, answer string) error {
	switch answer {
	case "approve":
		return s.Provider.Approve(w, r, sealed)
	case "deny":
		return s.Provider.Deny(w, r, sealed)
	case "switch":
		sendTo(w, s.path(PathLogin)+"?request="+url.QueryEscape(sealed))
		return nil
	}
	return refuse("Neither yes nor no was answered.")
}
