package issuer

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// checks is everything that an authorization request must satisfy before a person is
// bothered with it, in order. The client and its redirect URI are proven before: a refusal
// here goes back to the client. What a check reads, it keeps in the request.
var checks = []struct {
	section string
	check   func(*asking) *Error
}{
	{"RFC 6749 §3.1", checkRepetition},
	{"OAuth 2.0 Multiple Response Types §2.1", checkResponseMode},
	{"OpenID Connect Core §6", checkRequestObject},
	{"OpenID Connect Core §7.2.1", checkRegistration},
	{"RFC 9126 §6", checkPushed},
	{"RFC 6749 §3.1.1", checkResponseType},
	{"RFC 6749 §4.1.2.1", checkGrant},
	{"RFC 6749 §3.3, OpenID Connect Core §11", checkScope},
	{"RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1", checkStateAndNonce},
	{"RFC 7636 §4.3, RFC 9700 §2.1.1", checkChallenge},
	{"OpenID Connect Core §3.1.2.1", checkPrompt},
	{"OpenID Connect Core §3.1.2.1", checkMaxAge},
	{"OpenID Connect Core §3.1.2.1", checkHints},
	{"OpenID Connect Core §5.5", checkClaims},
	{"OpenID Connect Core §3.1.2.1", checkIDTokenHint},
	{"RFC 8707 §2", checkResource},
}

// asking is an authorization request while it is checked.
type asking struct {
	client *Client
	form   form
	req    *request
	issuer string
	// verify returns the claims of an ID token that we signed, however long ago.
	verify func(token, typ string) ([]byte, error)
}

// check runs the checks. The first refusal decides.
func (a *asking) check() *Error {
	for _, row := range checks {
		if refusal := row.check(a); refusal != nil {
			return refusal
		}
	}
	return nil
}

func checkRepetition(a *asking) *Error {
	// "Request and response parameters MUST NOT be included more than once."
	if a.form.repeated == "" {
		return nil
	}
	if a.form.repeated == "response_mode" {
		a.req.Mode = "query" // which of them is meant, nobody knows
	}
	if a.form.repeated == "state" {
		a.req.State = ""
	}
	return refuseRepeated(a.form.repeated)
}

func checkResponseMode(a *asking) *Error {
	mode := a.form.get("response_mode")
	switch {
	case mode == "" || mode == "query":
		return nil
	case mode == "fragment":
		return refuse("invalid_request", "response_mode=fragment is not supported: a code in a fragment reaches scripts. Use query or form_post.")
	case !slices.Contains(responseModes, mode):
		return refuse("invalid_request", "response_mode must be one of: %s.", strings.Join(responseModes, ", "))
	case a.req.Mode != mode:
		// begin has chosen query although form_post was asked for.
		return refuse("invalid_request", "response_mode=form_post needs a redirect_uri that begins with https: or http:.")
	}
	return nil
}

func checkRequestObject(a *asking) *Error {
	if a.form.has("request") {
		return refuse("request_not_supported", "Request objects are not supported: send the parameters themselves.")
	}
	if a.form.has("request_uri") {
		return refuse("request_uri_not_supported", "request_uri is not supported: send the parameters themselves.")
	}
	return nil
}

func checkRegistration(a *asking) *Error {
	if a.form.has("registration") {
		return refuse("registration_not_supported", "The registration parameter is not supported: register the client first.")
	}
	return nil
}

func checkPushed(a *asking) *Error {
	if a.client.RequirePAR {
		return refuse("invalid_request", "This client is registered with require_pushed_authorization_requests.")
	}
	return nil
}

func checkResponseType(a *asking) *Error {
	asked := a.form.get("response_type")
	if asked == "" {
		return refuse("invalid_request", "response_type is missing: send response_type=code.")
	}
	// OAuth 2.0 Multiple Response Types §5: "the order of the values does not matter".
	parts := strings.Fields(asked)
	slices.Sort(parts)
	switch sorted := strings.Join(parts, " "); {
	case slices.Contains(responseTypes, sorted) && slices.Contains(a.client.ResponseTypes, sorted):
		return nil
	case slices.Contains(responseTypes, sorted):
		return refuse("unauthorized_client", "This client is not registered for response_type=%s.", sorted)
	case slices.ContainsFunc(knownResponseTypes, func(known string) bool {
		other := strings.Fields(known)
		slices.Sort(other)
		return slices.Equal(other, parts)
	}):
		return refuse("unsupported_response_type", "Only response_type=code is supported.")
	}
	return refuse("unsupported_response_type", "This response_type is unknown. Only response_type=code is supported.")
}

func checkGrant(a *asking) *Error {
	if !a.client.allows("authorization_code") {
		return refuse("unauthorized_client", "This client is not registered for the grant authorization_code.")
	}
	return nil
}

func checkScope(a *asking) *Error {
	text := a.form.get("scope")
	if len(text) > 2048 {
		return refuse("invalid_scope", "scope is longer than 2048 bytes.")
	}
	asked := strings.Fields(text)
	for _, s := range asked {
		// Core §3.1.2.1: "Scope values used that are not understood by an implementation
		// SHOULD be ignored." So is what this client may not ask for; the answer to the
		// token request says what was granted.
		if slices.Contains(a.client.Scopes, s) && !slices.Contains(a.req.Scopes, s) {
			a.req.Scopes = append(a.req.Scopes, s)
		}
	}
	if len(asked) > 0 && len(a.req.Scopes) == 0 {
		return refuse("invalid_scope", "This client may use none of these scopes.")
	}
	if slices.Contains(asked, "openid") && !slices.Contains(a.req.Scopes, "openid") {
		// Without it this would silently be no OpenID Connect request, and no ID token come.
		return refuse("invalid_scope", "This client is not registered for the scope openid.")
	}
	// Core §11: the request for offline access is ignored where there can't be any. Whether the
	// person agrees to it is asked later, see next.go.
	if !a.client.allows("refresh_token") {
		a.req.Scopes = slices.DeleteFunc(a.req.Scopes, func(s string) bool { return s == offlineAccess })
	}
	return nil
}

func checkStateAndNonce(a *asking) *Error {
	if len(a.req.State) > 4096 {
		return refuse("invalid_request", "state is longer than 4096 bytes.")
	}
	a.req.Nonce = a.form.get("nonce")
	if len(a.req.Nonce) > 1024 {
		return refuse("invalid_request", "nonce is longer than 1024 bytes.")
	}
	return nil
}

func checkChallenge(a *asking) *Error {
	challenge, method := a.form.get("code_challenge"), a.form.get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return refuse("invalid_request", "code_challenge_method came without code_challenge.")
	case challenge == "" && (a.client.RequirePKCE || a.client.Public()):
		// RFC 9700 §2.1.1: "Public clients MUST use PKCE"; for the others an operator can make
		// an exception.
		return refuse("invalid_request", "code_challenge is missing: this client must use PKCE with S256.")
	case challenge == "":
		return nil
	case method != "S256":
		// RFC 7636 §4.3: without a method it would be plain.
		return refuse("invalid_request", "code_challenge_method must be S256.")
	case len(challenge) != 43 || !isBase64URL(challenge):
		// §4.2: BASE64URL-ENCODE(SHA256(…)), so 43 characters. §4.4.1 names the error.
		return refuse("invalid_request", "code_challenge is not the base64url form of a SHA-256.")
	}
	a.req.Challenge = challenge
	return nil
}

func checkPrompt(a *asking) *Error {
	for _, p := range strings.Fields(a.form.get("prompt")) {
		if !slices.Contains(prompts, p) {
			return refuse("invalid_request", "prompt may hold: %s.", strings.Join(prompts, ", "))
		}
		if !a.req.prompts(p) {
			a.req.Prompt = append(a.req.Prompt, p)
		}
	}
	// "If this parameter contains none with any other value, an error is returned."
	if a.req.prompts("none") && len(a.req.Prompt) > 1 {
		return refuse("invalid_request", "prompt=none can't be combined with another value.")
	}
	return nil
}

func checkMaxAge(a *asking) *Error {
	text := a.form.get("max_age")
	if text == "" {
		a.req.MaxAge = a.client.DefaultMaxAge // Dynamic Client Registration §2: "the max_age request parameter overrides this"
		return nil
	}
	if strings.Trim(text, "0123456789") != "" {
		return refuse("invalid_request", "max_age must be a number of seconds.")
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		seconds = math.MaxInt64 // only too many digits are left as a reason
	}
	a.req.MaxAge = &seconds
	return nil
}

// checkHints keeps what may make the pages nicer. None of them can make a request fail: Core
// §3.1.2.1 says so for ui_locales and acr_values, and the suite expects it of all.
func checkHints(a *asking) *Error {
	if d := a.form.get("display"); slices.Contains(displays, d) {
		a.req.Display = d
	}
	if h := a.form.get("login_hint"); len(h) <= 320 {
		a.req.LoginHint = h
	}
	// Two of ours. A hint that names no provider that is there leads to the sign-in page.
	a.req.IdP = a.client.DefaultIdP
	if h := a.form.get("idp_hint"); providerName(h) {
		a.req.IdP = h
	}
	if o := a.form.get("organization"); len(o) <= 128 && visible(o) {
		a.req.Org = o
	}
	for _, l := range strings.Fields(a.form.get("ui_locales")) {
		if len(l) <= 35 && len(a.req.Locales) < 8 {
			a.req.Locales = append(a.req.Locales, l)
		}
	}
	return nil
}

func checkClaims(a *asking) *Error {
	text := a.form.get("claims")
	if text == "" || !slices.Contains(a.req.Scopes, "openid") {
		return nil
	}
	asked, err := parseClaims(text)
	if err != nil {
		return refuse("invalid_request", "claims is not a JSON object as in OpenID Connect Core, section 5.5.").because(err)
	}
	if a.req.Subject, err = asked.subject(); err != nil {
		return refuse("invalid_request", "claims asks for a sub that is not one string.").because(err)
	}
	if values, essential := asked.essentialACR(); essential {
		// Core §5.5.1.1: "If this is an Essential Claim and the requirement cannot be met, then
		// the Authorization Server MUST treat that outcome as a failed authentication attempt."
		// The code is of OpenID Connect Unmet Authentication Requirements 1.0.
		a.req.ACR = intersect(acrValues, values)
		if len(a.req.ACR) == 0 {
			return refuse("unmet_authentication_requirements", "None of the essential acr values can be met here.")
		}
	}
	kept, err := json.Marshal(asked)
	if err != nil || len(kept) > maxClaims { // escapes make it longer, and it is read again
		return refuse("invalid_request", "claims is too large.").because(err)
	}
	if string(kept) != "{}" {
		a.req.Claims = kept
	}
	return nil
}

func isBase64URL(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// intersect returns what is in both, in the order of the first.
func intersect(a, b []string) []string {
	var both []string
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}
