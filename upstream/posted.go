package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// The limits of an answer by POST. It goes on in an address, which proxies cut at 8 KiB.
const (
	maxPosted = 4 << 10 // bytes of what is taken of it
	maxUser   = 1 << 10 // of those that say what the person is called
)

// posted are the parameters that are taken of an answer by POST: RFC 6749 §4.1.2, RFC 9207 §2, and
// Apple's user.
var posted = []string{"state", "code", "error", "iss", "user"}

// Posted takes an answer that a page of the provider sent by POST, and returns the query with which
// the browser brings it to the same address again, by GET.
//
// With a form of another site no cookie of ours comes that is SameSite=Lax: neither the attempt's
// nor the session's, without which nobody can link anything. With the GET that follows the
// redirect they come, as they do for any link. Nothing is looked up, kept or asked here: whether
// this answers anything is decided by [Registry.Finish]. The answer is sealed, for its state and
// its provider, so that it stands in no history and no log.
func (g *Registry) Posted(r *http.Request, name string, now time.Time) (query string, err error) {
	p, err := g.anyByName(r.Context(), name, now)
	if err != nil {
		return "", err
	}
	form, err := readPosted(r, &p)
	if err != nil {
		return "", refuse("bad_callback", &p, err)
	}
	state, taken := form.Get("state"), url.Values{}
	for _, name := range posted {
		value := form.Get(name)
		if !form.Has(name) || name == "user" && len(value) > maxUser {
			continue
		}
		taken.Set(name, value)
	}
	encoded := taken.Encode()
	if !isState(state) || len(encoded) > maxPosted {
		return "", refuse("bad_callback", &p, errState)
	}
	sealer, err := g.sealer(state)
	if err != nil {
		return "", err
	}
	sealed := sealer.Seal([]byte(encoded), answerAAD(&p, state))
	return url.Values{"state": {state}, "answer": {base64.RawURLEncoding.EncodeToString(sealed)}}.Encode(), nil
}

func answerAAD(p *Provider, state string) string { return "answer " + p.ID + " " + state }

func readPosted(r *http.Request, p *Provider) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case !kinds[p.Kind].formPost || r.Method != http.MethodPost:
		return nil, fmt.Errorf("it came by %s", r.Method)
	case err != nil || kind != "application/x-www-form-urlencoded":
		return nil, errors.New("it is not a form")
	}
	body, err := readAll(r.Body, maxCallback)
	if err != nil {
		return nil, err
	}
	return parseOnce(string(body))
}

// readCallback returns the parameters of a callback, in the one way that was asked for: those of
// the address, or what [Registry.Posted] sealed into it.
func (g *Registry) readCallback(r *http.Request, p *Provider) (url.Values, error) {
	if r.Method != http.MethodGet {
		return nil, fmt.Errorf("it came by %s", r.Method)
	}
	q, err := parseOnce(r.URL.RawQuery)
	if err != nil || !kinds[p.Kind].formPost {
		return q, err
	}
	state := q.Get("state")
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(q.Get("answer"))
	if err != nil || !isState(state) {
		return nil, errState
	}
	sealer, err := g.sealer(state)
	if err != nil {
		return nil, err
	}
	plain, err := sealer.Open(sealed, answerAAD(p, state))
	if err != nil {
		return nil, errors.New("it is not the answer that came by POST")
	}
	return parseOnce(string(plain))
}

// parseOnce reads parameters, each at most once: RFC 6749 §3.1.
func parseOnce(text string) (url.Values, error) {
	if len(text) > maxCallback {
		return nil, errors.New("it is too long")
	}
	q, err := url.ParseQuery(text)
	if err != nil {
		return nil, err
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, fmt.Errorf("%.60q is there more than once", name)
		}
	}
	return q, nil
}
