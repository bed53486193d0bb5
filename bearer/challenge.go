package bearer

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// challenge sets the headers of a refusal: RFC 9110 §15.5.2, a 401 "MUST send a
// WWW-Authenticate header field", and RFC 6750 §3.1, which wants it for a missing scope too.
//
// Bearer is first, whatever was shown: there are clients that read the field only if its
// first word is Bearer.
func (g *Guard) challenge(h http.Header, e *Error, scopes []string, shown carrier) {
	h.Set("Cache-Control", "no-store")
	e.Limits.Set(h)
	if e.RetryAfter > 0 {
		// Rounded up: whoever comes back on time must not be early.
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	var bearer, key string // the error parameter of each
	switch {
	case e.Code == ErrScope.Code:
		bearer, key, scopes = "insufficient_scope", "insufficient_scope", e.Scopes
	case e.Status == http.StatusForbidden && shown.method == MethodAPIKey && e.Code != ErrClearText.Code:
		key, scopes = e.Code, nil
	case e.Status != http.StatusUnauthorized:
		return
	case e.Code == ErrMissing.Code:
		// RFC 6750 §3.1: "If the request lacks any authentication information […], the resource
		// server SHOULD NOT include an error code".
	case shown.bearer:
		bearer, scopes = "invalid_token", nil
	default:
		key, scopes = "invalid_key", nil
	}
	if key != "insufficient_scope" && key != "" {
		h.Add("WWW-Authenticate", g.bearerChallenge("", nil))
	} else {
		h.Add("WWW-Authenticate", g.bearerChallenge(bearer, scopes))
	}
	if g.Keys == nil {
		return
	}
	text := `ApiKey realm="` + g.Realm + `"`
	if key != "" {
		text += `, error="` + key + `"`
	}
	if key == "insufficient_scope" {
		text += `, scope="` + strings.Join(scopes, " ") + `"`
	}
	h.Add("WWW-Authenticate", text)
}

// bearerChallenge is the challenge of RFC 6750 §3, with the resource_metadata of RFC 9728 §5.1.
func (g *Guard) bearerChallenge(code string, scopes []string) string {
	var params []string
	if code != "" {
		params = append(params, `error="`+code+`"`)
	}
	if len(scopes) > 0 {
		params = append(params, `scope="`+strings.Join(scopes, " ")+`"`)
	}
	if g.ResourceMetadata != "" {
		params = append(params, `resource_metadata="`+g.ResourceMetadata+`"`)
	}
	if len(params) == 0 {
		params = append(params, `realm="`+g.Realm+`"`) // RFC 6750 §3: "one or more auth-param values"
	}
	return "Bearer " + strings.Join(params, ", ")
}
