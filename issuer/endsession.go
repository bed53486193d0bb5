package issuer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"mintmark/keys"
)

// A leaving is a request to sign out, as far as it could be proven. It travels sealed to
// the page that asks the person. It needs no binding to a browser: whoever opens it can
// sign out nobody but themselves, and only by saying yes.
type leaving struct {
	ClientID string `json:"c,omitzero"` // proven by the hint
	Redirect string `json:"r,omitzero"` // registered by that client
	State    string `json:"s,omitzero"`
	Subject  string `json:"su,omitzero"` // of the hint
	Session  string `json:"si,omitzero"`
	Problem  string `json:"p,omitzero"` // why the browser won't return to the application
	Posted   bool   `json:"po,omitzero"`
	Begun    int64  `json:"b"`
}

const purposeLeaving = "sign-out request"

// EndSession is the end-session endpoint, OpenID Connect RP-Initiated Logout §2.
//
// Only an ID token that we signed proves which application asks, and only to a redirect URI
// that this application registered does the browser return. The session ends at once if the
// token is of the person who is signed in. In all other cases the person is asked.
func (p *Provider) EndSession(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	f, err := parseForm(r)
	if err != nil {
		return err
	}
	if sealed := f.get("request"); sealed != "" && r.Method == http.MethodGet {
		// Back from a POST, see below.
		l, err := p.openLeaving(sealed, now)
		if err != nil {
			return err
		}
		if l.Posted {
			return p.leave(w, r, l)
		}
	}
	l, err := p.readLeaving(r, f, now)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		// As at the authorization endpoint: a form of another site comes without our cookies.
		l.Posted = true
		return p.sendLeaving(w, p.base+PathEndSession+"?request=", l)
	}
	return p.leave(w, r, l)
}

// readLeaving keeps what the parameters prove.
func (p *Provider) readLeaving(r *http.Request, f form, now time.Time) (leaving, error) {
	l := leaving{Begun: now.UnixMicro()}
	token, id, uri := f.get("id_token_hint"), f.get("client_id"), f.get("post_logout_redirect_uri")
	if len(uri) > maxURI || len(f.get("state")) > 4096 {
		return l, refuse("invalid_request", "The request is too large.")
	}
	if token == "" {
		if uri != "" {
			// §3: without the hint the OP must have other means to confirm that the request is
			// legitimate. We have none: a client_id is public.
			l.Problem = "An id_token_hint is required to return to an application: without one nothing proves which it is."
		}
		return l, nil
	}
	hint, err := readHint(p.Keys.VerifyRetained, p.Issuer, token)
	switch {
	case errors.Is(err, keys.ErrStale):
		return l, err
	case err != nil:
		l.Problem = "The id_token_hint is not valid: it is not an ID token that was issued here."
		return l, nil
	case id == "" && len(hint.Audience) == 1:
		id = hint.Audience[0]
	case !slices.Contains(hint.Audience, id):
		// §2: "the OP MUST verify that the Client Identifier matches the one used when issuing the ID Token"
		l.Problem = "The client_id of the application is not the one of its id_token_hint."
		return l, nil
	}
	client, err := p.clients.get(r.Context(), id)
	if errors.Is(err, ErrNotFound) {
		l.Problem = "The application is no longer registered."
		return l, nil
	}
	if err != nil {
		return l, err
	}
	l.ClientID, l.Subject, l.Session = client.ID, hint.Subject, hint.Session
	switch {
	case uri == "":
	case !slices.Contains(client.PostLogoutRedirectURIs, uri):
		// §3: "the OP MUST NOT perform post-logout redirection if the value ... does not exactly
		// match one of the previously registered values". The session does end, if it is theirs.
		l.Problem = "The post_logout_redirect_uri is not registered for this application. It is compared exactly, character by character."
	default:
		l.Redirect, l.State = uri, f.get("state")
	}
	return l, nil
}

// leave ends the session at once, or asks.
func (p *Provider) leave(w http.ResponseWriter, r *http.Request, l leaving) error {
	login, ok, err := p.Login(r)
	if err != nil {
		return err
	}
	theirs := ok && l.Subject != "" && (l.Session == login.SessionID || l.Subject == login.AccountID)
	switch {
	case l.Problem == "" && theirs:
		if err := p.Config.EndSession(r.Context(), w, login.SessionID); err != nil {
			return err
		}
		p.gone(w, l)
	case l.Problem == "" && !ok:
		p.gone(w, l) // nobody is signed in: there is nothing to end, nor to ask
	default:
		return p.sendLeaving(w, p.base+pathLogout+"?request=", l)
	}
	return nil
}

// gone sends the browser to the application or, if none is proven, to our page.
func (p *Provider) gone(w http.ResponseWriter, l leaving) {
	switch {
	case l.Redirect == "":
		redirect(w, p.base+pathLogout+"?done=1")
	case l.State == "":
		redirect(w, l.Redirect)
	default:
		redirect(w, withQuery(l.Redirect, "state="+url.QueryEscape(l.State)))
	}
}

// A PendingLogout is what the sign-out page may know about who asks.
type PendingLogout struct {
	Client      *Client // the application that asks, or nil if nothing proves it
	RedirectURI string  // where the browser returns to, or empty
	State       string
	// Problem says to the application's developer why the browser won't return there, or
	// is empty.
	Problem string
}

// FormAction is [Pending.FormAction] for the sign-out page, or "" if the browser does not
// leave.
func (p PendingLogout) FormAction() string {
	if p.RedirectURI == "" {
		return ""
	}
	return origin(p.RedirectURI)
}

// PendingLogout opens a sealed request to sign out for the page. Nothing sealed is a person
// who came by themselves.
func (p *Provider) PendingLogout(r *http.Request, sealed string) (PendingLogout, error) {
	l, client, err := p.openLogout(r, sealed, time.Now())
	if err != nil {
		return PendingLogout{}, err
	}
	return PendingLogout{Client: client, RedirectURI: l.Redirect, State: l.State, Problem: l.Problem}, nil
}

// Logout is the person's yes on the sign-out page: it ends the session at this browser and
// sends it to the proven address, or to our own page. The caller has made sure that the
// form came from our page.
func (p *Provider) Logout(w http.ResponseWriter, r *http.Request, sealed string) error {
	l, _, err := p.openLogout(r, sealed, time.Now())
	if err != nil {
		return err
	}
	login, ok, err := p.Login(r)
	if err != nil {
		return err
	}
	if ok {
		if err := p.Config.EndSession(r.Context(), w, login.SessionID); err != nil {
			return err
		}
	}
	p.gone(w, l)
	return nil
}

// openLogout opens a sealed request to sign out and looks at its client again, which may
// have gone meanwhile and its redirect URI with it.
func (p *Provider) openLogout(r *http.Request, sealed string, now time.Time) (leaving, *Client, error) {
	if sealed == "" {
		return leaving{}, nil, nil
	}
	l, err := p.openLeaving(sealed, now)
	if err != nil || l.ClientID == "" {
		return l, nil, err
	}
	client, err := p.clients.get(r.Context(), l.ClientID)
	if errors.Is(err, ErrNotFound) {
		l.Redirect = ""
		return l, nil, nil
	}
	if err != nil {
		return leaving{}, nil, err
	}
	if !slices.Contains(client.PostLogoutRedirectURIs, l.Redirect) {
		l.Redirect = ""
	}
	shown := client.clone()
	return l, &shown, nil
}

func (p *Provider) openLeaving(sealed string, now time.Time) (leaving, error) {
	var l leaving
	plain, ok := p.seal.open(purposeLeaving, sealed)
	if !ok || json.Unmarshal(plain, &l) != nil {
		return leaving{}, refuse("invalid_request", "This address is not a sign-out that we began.")
	}
	if now.Sub(time.UnixMicro(l.Begun)) > p.RequestTTL {
		return leaving{}, refuse("invalid_request", "This sign-out took too long. Go back and sign out again.")
	}
	return l, nil
}

func (p *Provider) sendLeaving(w http.ResponseWriter, to string, l leaving) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	redirect(w, to+p.seal.close(purposeLeaving, b))
	return nil
}
