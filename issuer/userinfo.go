package issuer

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// UserInfo is the userinfo endpoint, OpenID Connect Core §5.3: it tells a client about the
// person who signed in to it. What it may tell is what the scopes of the token say, and what
// the claims parameter asked for.
//
// The token is not asked for an audience. Whoever has the scope openid may ask here, also if
// the token is for another resource as well: that is what the scope means.
func (p *Provider) UserInfo(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	text, f, refusal := bearerToken(r)
	if err := p.checkClearText(r, f); err != nil {
		return asBearer(err)
	}
	if refusal != nil {
		return refusal
	}
	s, ok, err := p.recognise(r.Context(), text, now)
	if err != nil {
		return err
	}
	if !ok {
		return errToken("The access token is not one that was issued here, or it is expired.")
	}
	if s.Key != "" {
		// There is nobody to tell about, but whether the key is good comes first.
		why, err := p.against(r.Context(), &s, now)
		if err != nil {
			return err
		}
		if why != "" {
			return errToken("The access token was revoked, or the API key that it came from is no longer good.").because(errors.New(why))
		}
	}
	scopes := s.scopes()
	if s.Authorization == "" || !slices.Contains(scopes, "openid") {
		// RFC 6750 §3.1
		return &Error{Code: "insufficient_scope", Description: "The access token does not have the scope openid.", Bearer: true, Scope: "openid"}
	}
	why, err := p.against(r.Context(), &s, now)
	if err != nil {
		return err
	}
	if why != "" {
		return errToken("The access token was revoked, or the sign-in that it came from has ended.").because(errors.New(why))
	}
	o := newObject()
	defer o.free()
	o.str("sub", s.Subject)
	asked, registered, err := p.askedOneByOne(r, s.standing)
	if err != nil {
		return err
	}
	if err := tell(o, &s.standing.Person, asked, scopes, registered); err != nil {
		return err
	}
	o.raw(claimLimits, s.standing.Limits)
	return answer(w, o)
}

// askedOneByOne returns the userinfo member of the claims parameter, and the scopes that the
// client is registered for.
func (p *Provider) askedOneByOne(r *http.Request, st *Standing) (map[string]*claimRequest, []string, error) {
	if st.Claims == "" {
		return nil, nil, nil
	}
	asked, err := parseClaims(st.Claims)
	if err != nil || len(asked.UserInfo) == 0 {
		return nil, nil, err
	}
	client, err := p.clients.get(r.Context(), st.ClientID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, nil // it went a moment ago: nothing more is told
	}
	if err != nil {
		return nil, nil, err
	}
	return asked.UserInfo, client.Scopes, nil
}

// bearerToken returns the one access token of a request. RFC 6750 §2: "Clients MUST NOT use
// more than one method to transmit the token in each request." Not in the address, §2.3 and §5.3:
// addresses end in logs.
func bearerToken(r *http.Request) (token string, f form, refusal *Error) {
	shown := len(r.Header["Authorization"]) + len(r.Header[headerKey])
	for _, header := range r.Header["Authorization"] {
		if scheme, text, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
			token = strings.TrimSpace(text)
		}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && err == nil && media == formType {
		if f, err = parseForm(r); err != nil {
			return "", form{}, asBearer(err)
		}
		if f.has("access_token") {
			shown, token = shown+1, f.get("access_token")
		}
	}
	if strings.Contains(r.URL.RawQuery, "access_token=") {
		return "", f, asBearer(refuse("invalid_request", "The access token belongs into the Authorization header, not into the address."))
	}
	switch {
	case shown > 1:
		return "", f, asBearer(refuse("invalid_request", "The request has more than one credential."))
	case token == "":
		// RFC 6750 §3.1: without any token, "the resource server SHOULD NOT include an error code".
		return "", f, &Error{Bearer: true}
	}
	return token, f, nil
}

func errToken(why string) *Error {
	return &Error{Code: "invalid_token", Description: why, Bearer: true}
}

// asBearer makes a refusal one of a protected resource.
func asBearer(err error) *Error {
	var refusal *Error
	if !errors.As(err, &refusal) {
		refusal = refuse("invalid_request", "The request can't be read.").because(err)
	}
	refusal.Bearer = true
	return refusal
}
