package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mintmark/internal/fetch"
)

const maxTokenLen = 16 << 10

// granted is what a code was exchanged for.
type granted struct {
	access, refresh, id string
	scopes              []string
	expires             time.Time // of the access token; zero: not said
	claimed             time.Time // exp of the ID token; zero: there is none
}

// expiry is how long what the provider says holds: the longest of what it said.
func (t *granted) expiry(now time.Time) time.Time {
	if t.claimed.After(t.expires) {
		return t.claimed
	}
	return t.expires
}

// exchange takes the code to the token endpoint, RFC 6749 §4.1.3, RFC 7636 §4.5.
func (g *Registry) exchange(t *talk, known places, a *attempt, code string) (*granted, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {g.redirectURI(t.p)}, "code_verifier": {a.Verifier},
	}
	header := http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"},
		"Accept":       {"application/json"}, // without it, GitHub answers with a form
	}
	if err := g.authenticate(t, known, form, header); err != nil {
		return nil, err
	}
	answer, err := t.ask(fetch.Request{Method: http.MethodPost, URL: known.Token, Header: header, Body: []byte(form.Encode())})
	if err != nil {
		return nil, err
	}
	if !isJSON(answer.Header) {
		return nil, t.refuse("bad_token_answer", fmt.Errorf("the token endpoint says %d and sends %.60q", answer.Status, answer.Header.Get("Content-Type")))
	}
	d, err := parseDocument(answer.Body)
	if err != nil {
		return nil, t.refuse("bad_token_answer", fmt.Errorf("the token endpoint says %d: %w", answer.Status, err))
	}
	// GitHub's errors come with 200.
	if code := d.text("error"); code != "" {
		return nil, t.notGranted(code)
	}
	if answer.Status != http.StatusOK {
		return nil, t.refuse("bad_token_answer", fmt.Errorf("the token endpoint says %d", answer.Status))
	}
	tokens, err := readGranted(d, t.now)
	if err != nil {
		return nil, t.refuse("bad_token_answer", err)
	}
	return tokens, nil
}

// authenticate says who we are, RFC 6749 §2.3.1.
func (g *Registry) authenticate(t *talk, known places, form url.Values, header http.Header) error {
	stored, err := g.secretOf(t.p)
	if err != nil {
		return err
	}
	if sign := signers[t.p.Kind]; sign != nil {
		if stored, err = sign(t.p, stored, t.now.Unix()); err != nil {
			return fmt.Errorf("making the client secret for %s: %w", t.p.Name, err)
		}
	}
	inBody := known.InBody
	if how := t.p.option("auth"); how != "" {
		inBody = how == "post"
	}
	switch {
	case stored == "":
		form.Set("client_id", t.p.ClientID) // RFC 6749 §3.2.1: a public client
	case inBody:
		form.Set("client_id", t.p.ClientID)
		form.Set("client_secret", stored)
	default:
		// "encoded using the "application/x-www-form-urlencoded" encoding algorithm"
		r := http.Request{Header: header}
		r.SetBasicAuth(url.QueryEscape(t.p.ClientID), url.QueryEscape(stored))
	}
	return nil
}

// secretOf opens the secret of a provider.
func (g *Registry) secretOf(p *Provider) (string, error) {
	if len(p.SealedSecret) == 0 {
		return "", nil
	}
	plain, err := g.Sealer.Open(p.SealedSecret, SecretAAD(p.ID))
	if err != nil {
		return "", fmt.Errorf("opening the secret of the provider %s: %w", p.Name, err)
	}
	return string(plain), nil
}

// notGranted is a refusal for an error of the token endpoint, RFC 6749 §5.2.
func (t *talk) notGranted(code string) *Refusal {
	cause := fmt.Errorf("the token endpoint answers %.60q", code)
	switch code {
	case "invalid_grant", "bad_verification_code":
		return t.refuse("code_refused", cause)
	case "invalid_client", "unauthorized_client", "incorrect_client_credentials", "redirect_uri_mismatch", "invalid_request", "invalid_scope":
		return t.refuse("registration_wrong", cause)
	}
	return t.refuse("provider_error", cause)
}

// readGranted reads the answer of a token endpoint, RFC 6749 §5.1.
func readGranted(d document, now time.Time) (*granted, error) {
	t := &granted{access: d.text("access_token"), refresh: d.text("refresh_token"), id: d.text("id_token")}
	switch {
	case t.access == "":
		return nil, errors.New("there is no access token")
	case !printableToken(t.access) || !printableToken(t.refresh) || !printableToken(t.id):
		return nil, errors.New("a token is not printable, or too long")
	case !strings.EqualFold(d.text("token_type"), "Bearer"): // "REQUIRED", and we can't use others
		return nil, fmt.Errorf("the token type is %.60q", d.text("token_type"))
	}
	if v := d.at("expires_in"); v != nil {
		n, ok := v.(json.Number)
		if s, text := v.(string); text { // some send it as a text
			n, ok = json.Number(s), true
		}
		seconds, err := n.Int64()
		if !ok || err != nil || seconds < 0 || seconds > 1<<32 {
			return nil, errors.New("expires_in is not a number of seconds")
		}
		if seconds > 0 {
			t.expires = now.Add(time.Duration(seconds) * time.Second)
		}
	}
	t.scopes = strings.FieldsFunc(d.text("scope"), func(c rune) bool { return c == ' ' || c == ',' }) // GitHub's have commas
	if len(t.scopes) > 100 || slices.ContainsFunc(t.scopes, func(s string) bool { return scopeToken(s) != "" }) {
		return nil, errors.New("the scope is not one")
	}
	return t, nil
}

// printableToken is RFC 6749 §A.12 and §A.17.
func printableToken(s string) bool {
	return len(s) <= maxTokenLen && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// readAll reads a body of at most so many bytes.
func readAll(body io.Reader, most int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	if err == nil && len(text) > most {
		return nil, errors.New("it is too long")
	}
	return text, err
}
