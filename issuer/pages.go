package issuer

import (
	"errors"
	"net/http"
	"slices"
	"time"
)

// A Pending is what the pages may know about a request that waits for its person.
type Pending struct {
	ID           string
	Client       Client
	Scopes       []string
	RedirectURI  string
	RedirectHost string // what to show a person of it
	LoginHint    string
	Display      string // "page", "popup", "touch", "wap", or empty
	UILocales    []string
	// SelectAccount says that the client wants the person to choose: they may also continue
	// as who they are, see [Provider.Choose].
	SelectAccount bool
	// Reauthenticate says that somebody is signed in, and has to prove again who they are.
	Reauthenticate bool
	// Recent says that the client asks for a sign-in that is not older than MaxAge seconds, or
	// than this request (0). A provider that does not say how old one is can't satisfy it.
	Recent bool
	MaxAge int64
	// ACR is the essential acr, one of which it must be, or empty.
	ACR []string
	// IdP is the name of the provider that the client suggests, and Organization whose providers
	// are shown besides everybody's. Both may be empty, and neither need be there.
	IdP          string
	Organization string
	// Wants is the account that the client asks for by id_token_hint or claims, or empty.
	Wants string
}

// FormAction returns the one source expression for the form-action of a page's content
// security policy that lets the browser return to the client after the page's form: the
// origin of the redirect URI, or its scheme and a colon if that is a private one. Where the
// client sends the browser next is not in it, although browsers may hold it against the policy.
func (p Pending) FormAction() string { return origin(p.RedirectURI) }

// Pending opens a sealed request for a page. It returns an [Error] for a person if the
// request is not one, too old, or of another browser.
func (p *Provider) Pending(r *http.Request, sealed string) (Pending, error) {
	now := time.Now()
	client, q, err := p.openBound(r, sealed, now)
	if err != nil {
		return Pending{}, err
	}
	login, ok, err := p.Login(r)
	if err != nil {
		return Pending{}, err
	}
	pending := Pending{
		ID:             q.ID,
		Client:         client.clone(),
		Scopes:         slices.Clone(q.toAllow(client)),
		RedirectURI:    q.Redirect,
		RedirectHost:   redirectHost(q.Redirect),
		LoginHint:      q.LoginHint,
		Display:        q.Display,
		UILocales:      q.Locales,
		SelectAccount:  q.prompts("select_account"),
		Reauthenticate: ok && !fresh(q, login) && (q.prompts("login") || tooOld(q, login, now)),
		Recent:         q.prompts("login") || q.MaxAge != nil,
		ACR:            slices.Clone(q.ACR),
		IdP:            q.IdP,
		Organization:   q.Org,
		Wants:          q.Subject,
	}
	if q.MaxAge != nil && !q.prompts("login") {
		pending.MaxAge = *q.MaxAge
	}
	return pending, nil
}

// openBound is open for the pages: to them comes only who was sent there, bound.
func (p *Provider) openBound(r *http.Request, sealed string, now time.Time) (*Client, *request, error) {
	client, q, err := p.open(r, sealed, now)
	if err != nil {
		return nil, nil, err
	}
	if len(q.Browser) == 0 {
		return nil, nil, startAgain("This sign-in has not begun in this browser.")
	}
	return client, q, nil
}

// ResumeURL returns where a page sends the browser when its work is done.
func (p *Provider) ResumeURL(sealed string) string { return p.base + PathAuthorize + "/" + sealed }

// Approve is the person's yes on the consent page: it answers the client and remembers the
// consent. The yes counts only from the account that was asked, and only while its sign-in
// still satisfies the request; otherwise the browser goes back to where that is decided.
// The caller has made sure that the form came from our page.
func (p *Provider) Approve(w http.ResponseWriter, r *http.Request, sealed string) error {
	now := time.Now()
	client, q, err := p.openBound(r, sealed, now)
	if err != nil {
		return err
	}
	login, ok, err := p.Login(r)
	if err != nil {
		return err
	}
	if signInReason(q, login, ok, now) != "" || q.Asked != login.AccountID {
		redirect(w, p.ResumeURL(sealed))
		return nil
	}
	return p.answer(w, r.Context(), client, q, login, &Consent{
		AccountID: login.AccountID,
		ClientID:  client.ID,
		Scopes:    q.toAllow(client),
		GrantedAt: now,
		UpdatedAt: now,
	}, nil, now)
}

// Deny is the person's no, on the sign-in page or the consent page. The client gets
// access_denied, and if somebody is signed in, the request can't be answered any more. The no
// of nobody is not remembered: otherwise everybody could fill the database with it.
func (p *Provider) Deny(w http.ResponseWriter, r *http.Request, sealed string) error {
	now := time.Now()
	client, q, err := p.openBound(r, sealed, now)
	if err != nil {
		return err
	}
	_, ok, err := p.Login(r)
	if err != nil {
		return err
	}
	if ok {
		err = p.Store.Refuse(r.Context(), q.ID, client.ID, now, p.forgetAt(q, now))
	} else {
		_, err = p.Store.Standing(r.Context(), q.ID, "", now)
		switch {
		case err == nil:
			err = ErrAnswered
		case errors.Is(err, ErrNotFound):
			err = nil
		}
	}
	if errors.Is(err, ErrAnswered) {
		return errAlreadyAnswered()
	}
	if err != nil {
		return err
	}
	return p.respondError(w, q, refuse("access_denied", "The person said no."))
}

// Choose is the person's choice, after prompt=select_account, to continue as who they are.
func (p *Provider) Choose(w http.ResponseWriter, r *http.Request, sealed string) error {
	now := time.Now()
	client, q, err := p.openBound(r, sealed, now)
	if err != nil {
		return err
	}
	login, ok, err := p.Login(r)
	if err != nil {
		return err
	}
	if ok {
		q.Chosen = login.SessionID
	}
	return p.proceed(w, r, client, q, now)
}
