package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/upstream"
)

type loginPage struct {
	frame
	Client   client // who asks; empty if the person came by themselves
	Request  string // sealed
	Action   string
	Username string
	Focus    string // the id of the field to begin with
	Problem  *problem
	// Continue is who is signed in, if the application lets them choose to stay that.
	Continue *person
	// Reauthenticate says that whoever is signed in has to show it again.
	Reauthenticate bool
	// Providers are the other ways to sign in.
	Providers []provider
	// Suggested is the one to which the domain of Username belongs.
	Suggested *provider
	// Domains says that the address alone may be enough: it leads to its provider.
	Domains bool
	// To is where to go then, if no application waits: return_to, and client_id if it is an
	// application's.
	To    upstream.Purpose
	Again bool // they came from a page that wants to be sure that it is still them
}

// statusRefused is the status of a page that shows its form again, because of what was typed.
// Browsers that keep passwords take a 4xx for a sign-in that failed, and don't offer to keep
// what was typed. It isn't 401, which must come with a challenge of HTTP's own (RFC 9110 §15.5.2).
const statusRefused = http.StatusUnprocessableEntity

// Login is the sign-in page.
//
// With a sealed request it belongs to an application, and everything that the person answers
// leads back to the issuer. Without one the person came by themselves, and is sent to the
// start page, or where the link says that they came by: see [Site.wayBack].
func (s *Site) Login(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	now := time.Now()
	to, landing, err := s.wayBack(r, form)
	if err != nil {
		return err
	}
	sealed := to.Request
	session, account, signedIn, err := s.Sessions.Current(r, now)
	if err != nil {
		return err
	}
	if sealed == "" {
		page := s.loginPage()
		page.To, page.Again = to, form.Has("again")
		if to.Landing != "" {
			page.Client = showClient(landing.Client, landing.Host)
		}
		if signedIn && !page.Again && r.Method != http.MethodPost {
			s.goOn(w, r, to)
			return nil
		}
		if signedIn && page.Again {
			page.Title, page.Username, page.Focus, page.Reauthenticate = "Sign in again", account.Email, "password", true
		}
		return s.loginFor(w, r, form, page, issuer.Pending{}, now)
	}
	pending, err := s.Provider.Pending(r, sealed)
	if err != nil {
		return err
	}
	switch {
	case r.Method != http.MethodPost:
	case form.Has("cancel"):
		return s.Provider.Deny(w, r, sealed)
	case form.Has("account") && signedIn && form.Get("session") == session.ID:
		return s.Provider.Choose(w, r, sealed)
	case form.Has("account"):
		// Somebody else than the page showed, or nobody any more: they choose again.
		sendTo(w, s.path(PathLogin)+"?request="+url.QueryEscape(sealed))
		return nil
	}
	page := s.loginPage()
	page.Request = sealed
	page.Client = showClient(pending.Client, pending.RedirectHost)
	page.suggest(pending, session, account, signedIn)
	return s.loginFor(w, r, form, page, pending, now)
}

func (s *Site) loginPage() loginPage {
	return loginPage{frame: s.frame("Sign in"), Action: s.path(PathLogin), Focus: "username"}
}

// suggest puts into the page what is known about who will sign in.
func (p *loginPage) suggest(pending issuer.Pending, x accounts.Session, a accounts.Account, signedIn bool) {
	p.Username = pending.LoginHint
	switch {
	case signedIn && pending.Reauthenticate:
		p.Title = "Sign in again"
		p.Reauthenticate = true
		if p.Username == "" {
			p.Username = a.Email
		}
	case signedIn && pending.SelectAccount && (pending.Wants == "" || pending.Wants == a.ID):
		p.Title = "Choose an account"
		shown := showPerson(a, x)
		p.Continue = &shown
	}
	switch {
	case p.Continue != nil:
		p.Focus = "" // the first thing on the page is not the form
	case p.Username != "":
		p.Focus = "password"
	}
}

// loginFor shows the page, or signs in with what was typed into it. pending is empty if the
// person came by themselves.
func (s *Site) loginFor(w http.ResponseWriter, r *http.Request, form url.Values, page loginPage, pending issuer.Pending, now time.Time) error {
	to := page.To
	to.Request = page.Request
	status := http.StatusOK
	typed := r.Method == http.MethodPost && form.Get("password") != ""
	if r.Method == http.MethodPost {
		// What an application suggested gives way to what was typed.
		page.Username, page.Focus = form.Get("username"), "password"
	}
	if typed {
		var err error
		status, err = s.signIn(w, r, form, &page, now)
		if err != nil {
			return err
		}
		if page.Problem == nil {
			s.goOn(w, r, to)
			return nil
		}
	}
	able := s.providers(r.Context(), pending, now)
	p, ok := named(able, pending.IdP)
	ok = ok && !form.Has("choose") && page.Continue == nil
	hint := pending.LoginHint
	if r.Method == http.MethodPost {
		p, ok = ofDomain(able, page.Username)
		hint = page.Username
	}
	if ok && !typed {
		return s.sendToProvider(w, r, p, to, pending, hint, now)
	}
	if r.Method == http.MethodPost && !typed {
		page.Problem, status = wrongPassword(), statusRefused // there is none
	}
	page.Providers = s.buttons(able, to, page.Again)
	page.Domains = slices.ContainsFunc(able, func(p upstream.Provider) bool { return len(p.Domains) > 0 })
	page.suggestProvider(able)
	return s.show(w, status, "login", page, s.allowed(pending, len(able) > 0 || to.Landing != ""))
}

// suggestProvider puts the provider of the typed address before the others.
func (p *loginPage) suggestProvider(able []upstream.Provider) {
	found, ok := ofDomain(able, p.Username)
	if !ok {
		return
	}
	for i, button := range p.Providers {
		if button.Name == found.Name {
			p.Suggested = &button
			p.Providers = slices.Delete(p.Providers, i, i+1)
			return
		}
	}
}

// sendToProvider goes straight to a provider: the application suggests it, or the typed address
// belongs to it.
func (s *Site) sendToProvider(w http.ResponseWriter, r *http.Request, p upstream.Provider, to upstream.Purpose, pending issuer.Pending, hint string, now time.Time) error {
	wants(pending, &to)
	to.LoginHint = hint
	address, err := s.begin(w, r, p.Name, to, now)
	if err != nil {
		return err
	}
	sendTo(w, address)
	return nil
}

// allowed is where the form of the sign-in page may lead: back to the application, or onward to a
// provider or to a page of an application.
func (s *Site) allowed(pending issuer.Pending, onward bool) allow {
	switch {
	case pending.ID != "":
		return allow{form: pending.FormAction()}
	case onward:
		return allow{form: onwardOnly}
	}
	return allow{}
}

// signIn begins a session, or puts the problem into the page and returns its status. Whatever
// is wrong with the address or the password, the words are the same.
func (s *Site) signIn(w http.ResponseWriter, r *http.Request, form url.Values, page *loginPage, now time.Time) (int, error) {
	a, status, err := s.password(w, r, form.Get("username"), form.Get("password"), &page.Problem, now)
	if err != nil || page.Problem != nil {
		return status, err
	}
	_, err = s.Sessions.Begin(w, r, a, []string{"pwd"}, issuer.ACRPassword, s.ClientAddress(r), now)
	if errors.Is(err, accounts.ErrNotFound) { // disabled a moment ago
		page.Problem = wrongPassword()
		return statusRefused, nil
	}
	return 0, err
}

// wrongPassword is what is said to whoever can't sign in, whatever the reason.
func wrongPassword() *problem {
	return &problem{ID: "login-problem", Field: "password", Text: "The e-mail address or the password is wrong."}
}

// password returns the person who has an address and a password, or says what the problem is,
// with the status of the page that shows it.
func (s *Site) password(w http.ResponseWriter, r *http.Request, email, password string, shown **problem, now time.Time) (accounts.Account, int, error) {
	a, err := s.Directory.SignIn(r.Context(), email, password, s.ClientAddress(r), now)
	tooMany, _ := errors.AsType[*accounts.TooMany](err)
	problem := &problem{ID: "login-problem"}
	*shown = problem
	switch {
	case err == nil:
		*shown = nil
		return a, 0, nil
	case tooMany != nil:
		problem.Text = "There were too many attempts. Try again in " + inWords(tooMany.RetryAfter) + "."
		retryAfter(w, tooMany.RetryAfter)
		return accounts.Account{}, http.StatusTooManyRequests, nil
	case errors.Is(err, secret.ErrBusy):
		problem.Text = "Too many people are signing in right now. Try again in a few seconds."
		retryAfter(w, 2*time.Second)
		return accounts.Account{}, http.StatusServiceUnavailable, nil
	case errors.Is(err, accounts.ErrWrong):
		*shown = wrongPassword()
		return accounts.Account{}, statusRefused, nil
	}
	*shown = nil
	return accounts.Account{}, 0, err
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
}

// inWords is a duration for people, never too short.
func inWords(d time.Duration) string {
	switch minutes := int64((d + time.Minute - 1) / time.Minute); {
	case d <= time.Minute:
		return "a minute"
	case minutes < 120:
		return strconv.FormatInt(minutes, 10) + " minutes"
	}
	return strconv.FormatInt(int64((d+time.Hour-1)/time.Hour), 10) + " hours"
}
