package web

import (
	"net/http"
	"net/url"
	"time"

	"mintmark/accounts"
)

type accountPage struct {
	frame
	Person   person
	Verified bool
	Nav      []navItem
	Sessions []session
	More     bool // there are more sessions than are shown
	Linked   []linked
	Others   []provider // that can be linked
	Federate bool       // there are, or were, providers
	Action   string
	Session  string // the id of the session that the page is shown to
	Problem  *problem
	SignIn   string // the address at which to sign in again
}

// freshTime is how long ago somebody may have signed in to change how they sign in.
const freshTime = 10 * time.Minute

// Account is the page of a person about themselves: where they are signed in, and with which
// providers they can sign in. What it changes, it changes for the session that it was shown to.
func (s *Site) Account(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	form, x, a, ok, err := s.ownPage(w, r, PathAccount, now)
	if !ok {
		return err
	}
	if r.Method != http.MethodPost {
		return s.showAccount(w, r, x, a, nil, http.StatusOK, now)
	}
	if form.Get("session") != x.ID {
		sendTo(w, s.path(PathAccount)) // the page was shown to somebody else, or long ago
		return nil
	}
	act, known := accountActs[form.Get("do")]
	switch {
	case !known:
		return refuse("This is not something that your account page asks for.")
	case act.fresh && !fresh(x, now):
		return s.showAccount(w, r, x, a, &problem{ID: "account-problem",
			Text: "To change how you sign in, sign in again first: it was more than ten minutes ago."}, http.StatusForbidden, now)
	}
	return act.do(s, w, r, form, x, a, now)
}

// accountActs is everything that the page can do, and whether it takes a fresh sign-in: what
// somebody at an unlocked screen could make a way in of.
var accountActs = map[string]struct {
	fresh bool
	do    func(s *Site, w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error
}{
	"end":        {false, (*Site).endOne},
	"end-others": {false, (*Site).endOthers},
	"link":       {true, (*Site).beginLink},
	"unlink":     {true, (*Site).unlink},
}

// fresh says whether somebody has just shown who they are. A provider that says when that was is
// held to it.
func fresh(x accounts.Session, now time.Time) bool {
	return now.Sub(x.AuthTime) <= freshTime && (x.ProvedAt.IsZero() || now.Sub(x.ProvedAt) <= freshTime+time.Minute)
}

func (s *Site) showAccount(w http.ResponseWriter, r *http.Request, x accounts.Session, a accounts.Account, p *problem, status int, now time.Time) error {
	page := accountPage{frame: s.frame("Your account"), Person: showPerson(a, x), Verified: a.EmailVerified, Nav: s.nav(PathAccount),
		Action: s.path(PathAccount), Session: x.ID, Problem: p}
	page.SignIn = withQuery(s.path(PathLogin), url.Values{"return_to": {PathAccount}, "again": {"1"}})
	if err := s.listSessions(r, &page, x, a, now); err != nil {
		return err
	}
	if err := s.listLinked(r, &page, a, now); err != nil {
		return err
	}
	return s.show(w, status, "account", page, allow{form: onwardOnly})
}
