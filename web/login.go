package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
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
}

// statusRefused is the status of a page that shows its form again, because of what was typed.
// Browsers that keep passwords take a 4xx for a sign-in that failed, and don't offer to keep
// what was typed. It isn't 401, which must come with a challenge of HTTP's own (RFC 9110 §15.5.2).
const statusRefused = http.StatusUnprocessableEntity

// Login is the sign-in page.
//
// With a sealed request it belongs to an application, and everything that the person answers
// leads back to the issuer. Without one the person came by themselves, and is sent to the
// start page: nobody outside says where.
func (s *Site) Login(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	now := time.Now()
	sealed := form.Get("request")
	session, account, signedIn, err := s.Sessions.Current(r, now)
	if err != nil {
		return err
	}
	if sealed == "" {
		if signedIn && r.Method != http.MethodPost {
			sendTo(w, s.path(PathHome))
			return nil
		}
		return s.loginFor(w, r, form, s.loginPage(), allow{}, now)
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
	return s.loginFor(w, r, form, page, allow{form: pending.FormAction()}, now)
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

// loginFor shows the page, or signs in with what was typed into it.
func (s *Site) loginFor(w http.ResponseWriter, r *http.Request, form url.Values, page loginPage, allow allow, now time.Time) error {
	if r.Method != http.MethodPost {
		return s.show(w, http.StatusOK, "login", page, allow)
	}
	// What an application suggested gives way to what was typed.
	page.Username, page.Focus = form.Get("username"), "password"
	status, err := s.signIn(w, r, form, &page, now)
	switch {
	case err != nil:
		return err
	case page.Problem != nil:
		return s.show(w, status, "login", page, allow)
	case page.Request == "":
		sendTo(w, s.path(PathHome))
	default:
		sendTo(w, s.Provider.ResumeURL(page.Request))
	}
	return nil
}

// signIn begins a session, or puts the problem into the page and returns its status. Whatever
// is wrong with the address or the password, the words are the same.
func (s *Site) signIn(w http.ResponseWriter, r *http.Request, form url.Values, page *loginPage, now time.Time) (int, error) {
	address := s.ClientAddress(r)
	a, err := s.Directory.SignIn(r.Context(), form.Get("username"), form.Get("password"), address, now)
	if err == nil {
		_, err = s.Sessions.Begin(w, r, a, []string{"pwd"}, issuer.ACRPassword, address, now)
	}
	tooMany, _ := errors.AsType[*accounts.TooMany](err)
	problem := &problem{ID: "login-problem"}
	page.Problem = problem
	switch {
	case err == nil:
		page.Problem = nil
		return 0, nil
	case tooMany != nil:
		problem.Text = "There were too many attempts. Try again in " + inWords(tooMany.RetryAfter) + "."
		retryAfter(w, tooMany.RetryAfter)
		return http.StatusTooManyRequests, nil
	case errors.Is(err, secret.ErrBusy):
		problem.Text = "Too many people are signing in right now. Try again in a few seconds."
		retryAfter(w, 2*time.Second)
		return http.StatusServiceUnavailable, nil
	case errors.Is(err, accounts.ErrWrong), errors.Is(err, accounts.ErrNotFound): // disabled a moment ago
		problem.Field = "password"
		problem.Text = "The e-mail address or the password is wrong."
		return statusRefused, nil
	}
	return 0, err
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
