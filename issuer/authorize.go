package issuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// Authorize is the authorization endpoint, OpenID Connect Core §3.1.2 and RFC 6749 §3.1. It
// serves /authorize, where a request begins, and /authorize/{request}, where its person
// comes back to from the pages, as often as necessary.
//
// An [Error] that it returns is for a page: nothing proves that there is a client to
// return to. All other refusals it sends to the client itself.
func (p *Provider) Authorize(w http.ResponseWriter, r *http.Request) error {
	if at := strings.LastIndex(r.URL.Path, PathAuthorize+"/"); at >= 0 {
		return p.resume(w, r, r.URL.Path[at+len(PathAuthorize)+1:])
	}
	return p.begin(w, r)
}

// begin checks a new request.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	f, err := decodeForm(r)
	if err != nil {
		return err
	}
	client, q, err := p.prove(r.Context(), f, now)
	if err != nil {
		return err
	}
	a := asking{client: client, form: f, req: q, issuer: p.Issuer, verify: p.Keys.VerifyRetained}
	if refusal := a.check(); refusal != nil {
		return p.respondError(w, q, refusal)
	}
	if r.Method == http.MethodPost {
		// A form that another site posts arrives without our SameSite=Lax cookies, so that its
		// person looks like a stranger. The redirect turns it into a GET, with which they come.
		return p.send(w, q, p.base+PathAuthorize+"/", q)
	}
	return p.proceed(w, r, client, q, now)
}

// prove finds the client and proves that the redirect URI is its own. Until then there is
// nobody to whom an error could be sent. RFC 6749 §4.1.2.1: the server "MUST NOT
// automatically redirect the user-agent to the invalid redirection URI".
func (p *Provider) prove(ctx context.Context, f form, now time.Time) (*Client, *request, error) {
	size := 0
	for _, pair := range f.pairs {
		size += len(pair.name) + len(pair.value)
	}
	id, uri := f.get("client_id"), f.get("redirect_uri")
	switch {
	case size > maxRequest:
		return nil, nil, refuse("invalid_request", "The request is larger than 8 KiB.")
	case repeated(f, "client_id"):
		return nil, nil, refuseRepeated("client_id")
	case repeated(f, "redirect_uri"):
		return nil, nil, refuseRepeated("redirect_uri")
	case id == "":
		return nil, nil, refuse("invalid_request", "The parameter client_id is missing.")
	}
	client, err := p.clients.get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, refuse("unauthorized_client", "There is no client with this client_id.")
	}
	if err != nil {
		return nil, nil, err
	}
	q := newRequest(now)
	q.ClientID, q.Redirect, q.State, q.Mode = client.ID, uri, f.get("state"), "query"
	switch {
	case uri == "" && slices.Contains(strings.Fields(f.get("scope")), "openid"):
		// OpenID Connect Core §3.1.2.1: redirect_uri is REQUIRED.
		return nil, nil, refuse("invalid_request", "The parameter redirect_uri is required and missing.")
	case uri == "" && len(client.RedirectURIs) == 1:
		// RFC 6749 §3.1.2.3: it may be left out if one was registered.
		q.Redirect, q.Implied = client.RedirectURIs[0], true
	case uri == "":
		return nil, nil, refuse("invalid_request", "The redirect_uri is required: it is missing, and this client has not registered exactly one.")
	case !redirectRegistered(client, uri):
		return nil, nil, refuse("invalid_request", "The redirect_uri is not registered for this client. It is compared exactly, character by character.")
	}
	if f.get("response_mode") == "form_post" && (strings.HasPrefix(q.Redirect, "https://") || strings.HasPrefix(q.Redirect, "http://")) {
		q.Mode = "form_post" // from here on, errors are posted too
	}
	return client, &q, nil
}

// repeated says whether a parameter came more than once.
func repeated(f form, name string) bool {
	n := 0
	for _, pair := range f.pairs {
		if pair.name == name {
			n++
		}
	}
	return n > 1
}

// resume goes on with a request that comes back from a page, or from a POST.
func (p *Provider) resume(w http.ResponseWriter, r *http.Request, sealed string) error {
	if r.Method != http.MethodGet {
		return refuse("invalid_request", "The method must be GET.")
	}
	now := time.Now()
	client, q, err := p.open(r, sealed, now)
	if err != nil {
		return err
	}
	return p.proceed(w, r, client, q, now)
}

// open opens a sealed request and makes sure that it is still good: not too old, of a
// client that still has that redirect URI, in the browser that began it if it is bound.
func (p *Provider) open(r *http.Request, sealed string, now time.Time) (*Client, *request, error) {
	q, err := p.openRequest(sealed, now)
	if err != nil {
		return nil, nil, err
	}
	if len(q.Browser) > 0 {
		digest, ok := p.browser(r)
		if !ok || !digest.Matches(q.Browser) {
			return nil, nil, startAgain("This sign-in began in another browser, or this browser keeps no cookies.")
		}
	}
	client, err := p.clients.get(r.Context(), q.ClientID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, refuse("unauthorized_client", "This application is no longer registered.")
	}
	if err != nil {
		return nil, nil, err
	}
	if !redirectRegistered(client, q.Redirect) {
		return nil, nil, refuse("invalid_request", "This redirect_uri is no longer registered for this client.")
	}
	return client, q, nil
}

// proceed asks what the request needs now, and does it.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request, client *Client, q *request, now time.Time) error {
	login, ok, err := p.Login(r)
	if err != nil {
		return err
	}
	var relied *Consent
	var remembered []string
	if ok && remembers(client, q) {
		if relied, err = p.remembered(r.Context(), login.AccountID, client.ID); err != nil {
			return err
		}
		if relied != nil {
			remembered = append([]string{}, relied.Scopes...) // never nil: they were asked
		}
	}
	step, refusal := next(client, q, login, ok, remembered, now)
	if refusal == nil && step == stepAnswer {
		err := p.answer(w, r.Context(), client, q, login, nil, relied, now)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		// The consent was revoked while we were at it: they have to be asked after all.
		step, refusal = next(client, q, login, ok, nil, now)
	}
	if refusal != nil {
		return p.respondError(w, q, refusal)
	}
	onward := *q
	p.bind(w, r, &onward)
	if step == stepSignIn {
		return p.send(w, q, p.base+pathLogin+"?request=", &onward)
	}
	onward.Asked = login.AccountID
	return p.send(w, q, p.base+pathConsent+"?request=", &onward)
}

// remembered returns what a person allowed a client before: nil if they were never asked.
func (p *Provider) remembered(ctx context.Context, accountID, clientID string) (*Consent, error) {
	consent, err := p.Store.Consent(ctx, accountID, clientID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &consent, nil
}

// send sends the browser on with the sealed request at the end of the address.
func (p *Provider) send(w http.ResponseWriter, q *request, to string, onward *request) error {
	sealed, err := p.sealRequest(onward)
	var refusal *Error
	if errors.As(err, &refusal) {
		return p.respondError(w, q, refusal)
	}
	if err != nil {
		return err
	}
	redirect(w, to+sealed)
	return nil
}

// answer gives the client its code: the one moment at which a request becomes an
// [Authorization]. Of any number of attempts to answer one request, the store lets one
// succeed. If given is not nil, the person just gave that consent, and it is remembered in the
// same transaction. If relied is not nil, they gave it before, and answer returns [ErrNotFound]
// if it does not stand any more. If both are nil, nobody had to be asked.
func (p *Provider) answer(w http.ResponseWriter, ctx context.Context, client *Client, q *request, login Login, given, relied *Consent, now time.Time) error {
	code := p.Mint.Issue(secret.KindCode, q.ID)
	digest := code.Digest()
	a := Authorization{
		ID:            q.ID,
		ClientID:      client.ID,
		AccountID:     login.AccountID,
		SessionID:     login.SessionID,
		Scopes:        q.Scopes,
		Audience:      q.Audience,
		Claims:        string(q.Claims),
		AuthTime:      login.AuthTime,
		ACR:           login.ACR,
		AMR:           login.AMR,
		IdP:           login.IdP,
		Limits:        login.Limits,
		Nonce:         q.Nonce,
		Offline:       slices.Contains(q.Scopes, offlineAccess), // next made sure of the consent
		CreatedAt:     now,
		RedirectURI:   q.Redirect,
		Challenge:     q.Challenge,
		CodeDigest:    digest[:],
		CodeExpiresAt: now.Add(p.CodeTTL),
		ExpiresAt:     now.Add(p.CodeTTL + p.AccessTTL),
		ForgetAt:      p.forgetAt(q, now),
	}
	if q.Implied {
		// RFC 6749 §4.1.3: the token request must have it only if this one had it.
		a.RedirectURI = ""
	}
	var err error
	if relied != nil {
		err = p.Store.AnswerAgain(ctx, a, *relied)
	} else {
		err = p.Store.Answer(ctx, a, given)
	}
	switch {
	case errors.Is(err, ErrAnswered):
		return errAlreadyAnswered()
	case errors.Is(err, ErrSpent):
		// The person was signed out, or the client disabled, while we were at it.
		return p.respondError(w, q, refuse("login_required", "The sign-in ended meanwhile."))
	case err != nil:
		return err
	}
	return p.respond(w, q, pair{"code", code.Reveal()})
}

func errAlreadyAnswered() *Error {
	return startAgain("This sign-in was already completed.")
}

// forgetAt returns when the row of an answered request may go: when nothing that came from
// it is alive, and when the sealed request can't be shown again either. Otherwise it could
// be answered twice.
func (p *Provider) forgetAt(q *request, now time.Time) time.Time {
	reopen, use := q.begun().Add(p.RequestTTL), now.Add(p.CodeTTL+p.AccessTTL)
	if use.After(reopen) {
		reopen = use
	}
	return reopen.Add(5 * time.Minute) // the clocks of several copies
}
