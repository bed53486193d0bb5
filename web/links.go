package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mintmark/accounts"
	"mintmark/issuer"
	"mintmark/upstream"
)

// A linked is an identity of a person at a provider, as it is shown.
type linked struct {
	ProviderID, Subject string
	Number              string
	Title, Email        string
	Since, Used         when
	Off                 bool // the provider is disabled, or gone
	Kept                bool // its tokens are kept, for applications that act there
}

func (s *Site) listLinked(r *http.Request, page *accountPage, a accounts.Account, now time.Time) error {
	if s.Upstream == nil {
		return nil
	}
	links, err := s.Directory.Identities(r.Context(), a.ID)
	if err != nil {
		return err
	}
	able := s.providers(r.Context(), issuer.Pending{}, now)
	for i, l := range links {
		shown := linked{ProviderID: l.ProviderID, Subject: l.Subject, Number: strconv.Itoa(i), Title: "A provider that is switched off", Email: l.Email,
			Since: at(l.LinkedAt), Used: at(l.LastUsedAt), Off: true}
		for _, p := range able {
			if p.ID == l.ProviderID {
				shown.Title, shown.Off, shown.Kept = p.Label(), false, p.KeepTokens
			}
		}
		page.Linked = append(page.Linked, shown)
	}
	page.Others = s.buttons(able, upstream.Purpose{}, false)
	page.Federate = len(page.Others)+len(page.Linked) > 0
	return nil
}

// beginLink sends the person to a provider, to link who they are there to this account.
func (s *Site) beginLink(w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error {
	to := upstream.Purpose{Return: PathAccount, LinkTo: a.ID, Session: x.ID}
	address, err := s.begin(w, r, form.Get("provider"), to, now)
	if err != nil {
		return err
	}
	sendTo(w, address)
	return nil
}

// link links who has arrived to the account that asked for it, if whoever asked is still signed
// in, at this browser.
func (s *Site) link(w http.ResponseWriter, r *http.Request, p upstream.Provider, i upstream.Identity, to upstream.Purpose, now time.Time) error {
	x, a, err := s.Sessions.Store.Session(r.Context(), to.Session)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		return refusal("session_ended", "", err)
	case err != nil:
		return err
	case a.ID != to.LinkTo || !a.DisabledAt.IsZero() || !s.Sessions.Alive(x, now):
		return refusal("session_ended", "", nil)
	}
	here, _, ok, err := s.Sessions.Current(r, now)
	if err != nil {
		return err
	}
	if !ok || here.ID != to.Session {
		return refusal("session_ended", "", errors.New("another session is at the browser"))
	}
	if err := s.Directory.Link(r.Context(), a.ID, p, i, now); err != nil {
		return notArrived(err)
	}
	if err := s.Upstream.Keep(r.Context(), a.ID, i, now); err != nil {
		return notArrived(err)
	}
	sendTo(w, s.path(PathAccount))
	return nil
}

// unlink takes a way to sign in away, unless it is the last one.
func (s *Site) unlink(w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error {
	err := s.Directory.Unlink(r.Context(), a.ID, form.Get("provider_id"), form.Get("subject"), now)
	switch {
	case errors.Is(err, accounts.ErrLastWay):
		return s.showAccount(w, r, x, a, &problem{ID: "account-problem",
			Text: "This is the only way you can sign in. Link another provider first, or have a password set."}, http.StatusConflict, now)
	case err != nil && !errors.Is(err, accounts.ErrNotFound):
		return err
	}
	sendTo(w, s.path(PathAccount))
	return nil
}
