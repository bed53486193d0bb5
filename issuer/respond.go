package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// respond sends the browser back to the client with the parameters of an authorization
// response, in the response mode that the client asked for. RFC 6749 §4.1.2
func (p *Provider) respond(w http.ResponseWriter, q *request, params ...pair) error {
	if q.State != "" {
		params = append(params, pair{"state", q.State})
	}
	// RFC 9207 §2: "in authorization responses to the client, including error responses"
	params = append(params, pair{"iss", p.Issuer})
	if q.Mode == "form_post" {
		return post(w, q.Redirect, params)
	}
	var query strings.Builder
	for i, param := range params {
		if i > 0 {
			query.WriteByte('&')
		}
		query.WriteString(param.name)
		query.WriteByte('=')
		query.WriteString(url.QueryEscape(param.value))
	}
	redirect(w, withQuery(q.Redirect, query.String()))
	return nil
}

// respondError returns a refusal to the client, RFC 6749 §4.1.2.1. The redirect URI is
// proven: there is no other way to get a request.
func (p *Provider) respondError(w http.ResponseWriter, q *request, refusal *Error) error {
	params := []pair{{"error", refusal.Code}}
	if refusal.Description != "" {
		params = append(params, pair{"error_description", printable(refusal.Description)})
	}
	return p.respond(w, q, params...)
}

// printable keeps a description inside of %x20-21 / %x23-5B / %x5D-7E, RFC 6749 §4.1.2.1.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, s)
}

// redirect sends the browser on with a GET, whatever it came with. RFC 9700 §4.12: a 307
// would repeat a form, and with it a password.
func redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to) // not http.Redirect, which would tidy what the client registered
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // RFC 9700 §4.2.4: the address holds the request
	w.WriteHeader(http.StatusSeeOther)
}

// postScript sends the form. It is old-fashioned so that every script engine runs it.
const postScript = `document.forms[0].submit()`

var postScriptHash = func() string {
	sum := sha256.Sum256([]byte(postScript))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

var postPage = template.Must(template.New("form_post").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Returning to the application</title></head>
<body>
<form method="post" action="{{.Action}}">
{{range .Params}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{end}}<noscript><p>Your browser does not run scripts.</p><button type="submit">Continue to the application</button></noscript>
</form>
<script>` + postScript + `</script>
</body>
</html>
`))

// post answers with a page that posts the parameters, OAuth 2.0 Form Post Response Mode §2.
func post(w http.ResponseWriter, to string, params []pair) error {
	type param struct{ Name, Value string }
	page := struct {
		Action template.URL // proven, and http or https
		Params []param
	}{Action: template.URL(to)}
	for _, p := range params {
		page.Params = append(page.Params, param{p.name, p.value})
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // Form Post §2 and §4: codes must not stay in a cache
	// With no-referrer the form would come from the origin "null", which clients refuse that
	// compare it. This tells them our origin, and never the address.
	h.Set("Referrer-Policy", "strict-origin")
	// Chromium holds every redirect that follows a form against form-action, also those that the
	// application makes after its own address: one that goes on to another host would stop on a
	// blank page if only its origin were named. And it ignores a literal IPv6 address.
	h.Set("Content-Security-Policy", "default-src 'none'; script-src "+postScriptHash+
		"; form-action "+origin(to)+" https: http:; base-uri 'none'; frame-ancestors 'none'")
	return postPage.Execute(w, page)
}
