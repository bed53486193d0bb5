package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	// Case-sensitive and without duplicate members, unlike the standard library.
	strict "github.com/go-jose/go-jose/v4/json"

	"mintmark/accounts"
	"mintmark/issuer"
	"mintmark/upstream"
)

// PathSession is where a page of ours gets a session for a token of an outside issuer.
const PathSession = "/api/v1/session"

// mostShown is how many tokens one network may show that sign nobody in, as mostFailed.
const mostShown = 100

// Session signs the person in who holds a token of an outside issuer: {"token": …}, from a page of
// ours. It answers OPTIONS as well, with which a browser asks for a page of another origin.
//
// Whoever has a token of their own could sign anybody in with it (login CSRF), and read along what they
// do under the wrong name. So a browser has to say that the page is ours: its Origin is the issuer's, or that of
// a redirect URI of the client that client_id names, which needs no consent. The client is in the query
// because a browser that asks has no body. A form can't send JSON, and a request without an Origin is no
// browser's that could be helped.
func (s *Site) Session(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin, err := s.fromFirstParty(r)
	if err != nil {
		return err
	}
	// Never for an origin that is not registered, and nowhere else with a cookie.
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", http.MethodPost)
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	now, from := time.Now(), s.network(r)
	if wait := s.shown.take(from, now); wait > 0 {
		e := plain(http.StatusTooManyRequests, "too_many_attempts", "Too many tokens that are not good came from this network.", nil)
		e.RetryAfter = max(wait, time.Second)
		return e
	}
	err = s.sessionFor(w, r, now)
	if theirs, ok := errors.AsType[*Refusal](err); !ok || theirs.Code == "temporarily_unavailable" {
		s.shown.giveBack(from)
	}
	return err
}

func plain(status int, code, text string, cause error) *Refusal {
	return &Refusal{Status: status, Code: code, Title: http.StatusText(status), Text: text, cause: cause}
}

// fromFirstParty returns the origin of a page of ours that has sent a request.
func (s *Site) fromFirstParty(r *http.Request) (string, error) {
	no := func(text string) (string, error) { return "", plain(http.StatusForbidden, "access_denied", text, nil) }
	said := r.Header["Origin"]
	if len(said) != 1 || said[0] == "" || said[0] == "null" {
		return no("Only a script of a page may ask this, and its browser says from where (Origin).")
	}
	origin := said[0]
	// Fetch Metadata, where a browser sends it. One that would not keep the cookie is told so before its token is
	// spent: SameSite=Lax.
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "none" {
		return no("The page must be of the same site as this server: of another, a browser would not keep the cookie. Send the person to /authorize instead.")
	}
	if origin == s.origin {
		return origin, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(query["client_id"]) > 1 {
		return no("The query must have one client_id.")
	}
	origins, err := s.Provider.FirstPartyOrigins(r.Context(), query.Get("client_id"))
	if err != nil {
		return "", err
	}
	if !slices.Contains(origins, origin) {
		return no("The Origin is not this server's, nor that of a redirect URI of the client that client_id in the query names: a web or spa client with consent never.")
	}
	return origin, nil
}

func (s *Site) sessionFor(w http.ResponseWriter, r *http.Request, now time.Time) error {
	token, err := readToken(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	p, who, err := s.outside(ctx, token, now)
	if err != nil {
		return err
	}
	a, _, err := s.Directory.Arrive(ctx, p, who, now)
	if err != nil {
		return notIn(err)
	}
	x, err := s.Sessions.BeginWith(w, r, a, proofOf(p, who, now), s.ClientAddress(r), now)
	if err != nil {
		return notIn(err)
	}
	body, err := json.Marshal(struct {
		Subject   string    `json:"sub"`
		ACR       string    `json:"acr"`
		AMR       []string  `json:"amr"`
		IdP       string    `json:"idp"`
		ExpiresAt time.Time `json:"expires_at"`
	}{a.ID, x.ACR, x.AMR, x.IdP, x.ExpiresAt.UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.Write(body) // if nobody reads it, there is nobody to tell
	return nil
}

// readToken reads the body.
func readToken(r *http.Request) (string, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", plain(http.StatusUnsupportedMediaType, "invalid_request", `The body must be JSON, with the Content-Type application/json.`, err)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	var members map[string]string
	if strict.Unmarshal(text, &members) != nil || len(members) != 1 || members["token"] == "" {
		return "", plain(http.StatusBadRequest, "invalid_request", `The body must be {"token": "…"}, and nothing else.`, nil)
	}
	return members["token"], nil
}

// outside says whose a token is.
func (s *Site) outside(ctx context.Context, token string, now time.Time) (upstream.Provider, upstream.Identity, error) {
	bad := func(cause error) error {
		return plain(http.StatusBadRequest, "invalid_token", "The token is not one that is taken here, or it was used before.", cause)
	}
	if s.Upstream == nil {
		return upstream.Provider{}, upstream.Identity{}, bad(nil)
	}
	p, who, err := s.Upstream.OutsideForSession(ctx, token, now)
	switch {
	case errors.Is(err, upstream.ErrOutside):
		err = bad(err)
	case errors.Is(err, upstream.ErrAway):
		e := plain(http.StatusServiceUnavailable, "temporarily_unavailable", "The token's issuer, or its keys, can't be asked now.", err)
		e.RetryAfter = 5 * time.Second
		err = e
	}
	return p, who, err
}

// notIn says to a page why an account is not theirs. They have spent their token, and come back with
// another, or sign in at the issuer.
func notIn(err error) error {
	if must, ok := errors.AsType[*accounts.MustProve](err); ok {
		return plain(http.StatusForbidden, "must_prove", "There is an account with this address. Sign in to it once at this server, which links the two.", must)
	}
	if theirs, ok := errors.AsType[*Refusal](notArrived(err)); ok {
		return plain(http.StatusForbidden, theirs.Code, theirs.Text, err)
	}
	return err
}

// originOf returns the origin of the issuer, as browsers say it.
func originOf(address string) string {
	origin, _ := issuer.Origin(address)
	return origin
}
