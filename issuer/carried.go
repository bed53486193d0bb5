package issuer

import (
	"net/http"
	"strings"
)

// inBodyOnly are the parameters that make whoever reads them somebody else. RFC 6749 §2.3.1:
// "The parameters can only be transmitted in the request-body and MUST NOT be included in
// the request URI". Addresses end in logs and histories.
var inBodyOnly = []string{
	"client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "token", "access_token", "password",
	"assertion", "subject_token", "actor_token",
}

// postForm is [parseForm] for what programs send: a POST, with nothing secret in its address.
func postForm(r *http.Request) (form, error) {
	if r.Method != http.MethodPost {
		// RFC 6749 §3.2: "The client MUST use the HTTP "POST" method".
		return form{}, refuse("invalid_request", "The method must be POST.")
	}
	if r.URL.RawQuery != "" {
		query, err := decodePairs(r.URL.RawQuery)
		if err != nil {
			return form{}, err
		}
		for _, name := range inBodyOnly {
			if query.has(name) {
				return form{}, refuse("invalid_request", "The parameter %s belongs into the body, not into the address.", name)
			}
		}
	}
	return parseForm(r)
}

// headerKey is where services take API keys, and we don't: a second credential all the same.
const headerKey = "X-Api-Key"

// programForm is [postForm] for a request that shows its credentials as it should: where nobody
// else can read them, and no more than one. RFC 6749 §2.3: "The client MUST NOT use more than one
// authentication method in each request." What is sent in the body is for [readProof] to count.
func (p *Provider) programForm(r *http.Request) (form, error) {
	f, err := postForm(r)
	if err != nil {
		return form{}, err
	}
	if err := p.checkClearText(r, f); err != nil {
		return form{}, err
	}
	if keys := len(r.Header[headerKey]); keys > 0 {
		others := len(r.Header["Authorization"])
		for _, name := range inBodyOnly {
			others += count(f.get(name) != "")
		}
		if keys+others > 1 {
			return form{}, refuse("invalid_request", "There are two credentials, and one of them is in X-API-Key. Send an API key in the Authorization header or in the body, once.")
		}
	}
	return f, nil
}

// checkClearText refuses a request whose credentials others could have read. RFC 6749 §3.2: "the
// authorization server MUST require the use of TLS […] when sending requests to the token endpoint",
// RFC 6750 §5.3 wants it wherever an access token is shown.
func (p *Provider) checkClearText(r *http.Request, f form) error {
	if p.ClearText == nil {
		return nil
	}
	err := p.ClearText(r, func() []string { return carried(r, f) })
	if err == nil {
		return nil
	}
	return &Error{Code: "invalid_request", Status: http.StatusForbidden, cause: err,
		Description: "The credentials came over HTTP without TLS, where others can read them: replace them, and use HTTPS. If a proxy in front has TLS, name it in trusted_proxies and have it send X-Forwarded-Proto."}
}

// carried is every credential that a request shows, wherever.
func carried(r *http.Request, f form) (all []string) {
	for _, line := range r.Header["Authorization"] {
		if shown, basic := basicProof(line); basic {
			all = append(all, shown.secret)
			continue
		}
		_, text, _ := strings.Cut(line, " ")
		all = append(all, strings.TrimSpace(text))
	}
	all = append(all, r.Header[headerKey]...)
	for _, name := range inBodyOnly {
		if f.get(name) != "" {
			all = append(all, f.get(name))
		}
	}
	return all
}
