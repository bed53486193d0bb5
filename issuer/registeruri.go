package issuer

import (
	"crypto/rsa"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxURI       = 2048
	maxRedirects = 50
	maxJWKS      = 16 << 10
	maxKeys      = 20
)

// forbiddenSchemes run, show or read something instead of opening an application. A private
// scheme is any other, but for http and https, which have their own rules.
var forbiddenSchemes = []string{
	"javascript", "data", "file", "vbscript", "blob", "about", "filesystem", "view-source",
	"ftp", "ws", "wss", "mailto", "tel", "sms", "intent", "jar", "chrome", "resource", "ms-its", "mhtml", "urn",
}

// responseParameters can't be in the query of a redirect URI: in the response they would
// come twice. RFC 6749 §3.1
var responseParameters = []string{"code", "state", "iss", "error", "error_description", "error_uri"}

// checkRedirects checks both lists of addresses that the browser may be sent to. What can't be
// compared safely as a string is refused here, so that nothing needs to be interpreted
// when a request comes.
func checkRedirects(c *Client, code, private bool) error {
	switch {
	case code && len(c.RedirectURIs) == 0:
		return invalid("redirect_uris", "must have at least one entry with the grant authorization_code")
	case !code && len(c.RedirectURIs) > 0:
		return invalid("redirect_uris", "are of use only with the grant authorization_code")
	}
	for _, list := range []struct {
		field string
		uris  []string
	}{
		{"redirect_uris", c.RedirectURIs},
		{"post_logout_redirect_uris", c.PostLogoutRedirectURIs},
	} {
		if len(list.uris) > maxRedirects {
			return invalid(list.field, "must have at most %d entries", maxRedirects)
		}
		if !unique(list.uris) {
			return invalid(list.field, "has an entry twice")
		}
		for _, uri := range list.uris {
			if err := checkURI(list.field, uri, private); err != nil {
				return err
			}
		}
	}
	return nil
}

var schemePattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// checkURI checks an address that a browser or we ourselves will open: https, or http on the
// loopback interface, or, if private, a scheme that an application of the device registered.
func checkURI(field, uri string, private bool) error {
	// Only the characters of RFC 3986 §2, so that every program reads the same; and no "*":
	// somebody who writes it expects a wildcard.
	if uri == "" || len(uri) > maxURI || !visible(uri) || strings.ContainsAny(uri, "\"<>\\^`{|}*") {
		return invalid(field, "must be URIs of at most %d characters, without spaces, backslashes and wildcards", maxURI)
	}
	if strings.Contains(uri, "#") {
		return invalid(field, "must not have a fragment") // RFC 6749 §3.1.2
	}
	u, err := url.Parse(uri)
	if err != nil || !strings.HasPrefix(uri, u.Scheme+":") || !schemePattern.MatchString(u.Scheme) {
		return invalid(field, "must be absolute URIs with a scheme in lower case")
	}
	if u.User != nil || u.Opaque != "" || strings.Contains(u.Host, "@") {
		return invalid(field, "must not have a user name, and a slash after the scheme")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid(field, "must be percent-encoded correctly")
	}
	for _, name := range responseParameters {
		if query.Has(name) {
			return invalid(field, "must not have the parameter %s, which belongs to the response", name)
		}
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(u.EscapedPath()), "%2e", "."), "/") {
		if segment == "." || segment == ".." {
			return invalid(field, "must not have the path segments . and ..")
		}
	}
	switch {
	case u.Scheme == "https" && u.Hostname() != "":
	case u.Scheme == "http" && loopbackName(u.Hostname()):
	case u.Scheme == "http":
		return invalid(field, "must begin with https:// (http:// only for 127.0.0.1, [::1] and localhost)")
	case u.Scheme == "https":
		return invalid(field, "must name a host")
	case !private:
		return invalid(field, "must begin with https:// (schemes of their own have native clients only)")
	case slices.Contains(forbiddenSchemes, u.Scheme):
		return invalid(field, "must not use the scheme %s", u.Scheme)
	}
	return nil
}

// checkJWKS checks the keys of a client: public ones only, that our library understands.
func checkJWKS(raw json.RawMessage) error {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(raw) > maxJWKS || json.Unmarshal(raw, &set) != nil || len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return invalid("jwks", "must be a JSON Web Key Set of 1 to %d keys, at most 16 KiB", maxKeys)
	}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := json.Unmarshal(raw, &key); err != nil || !key.Valid() {
			return invalid("jwks", "has a key that is not a valid RSA, EC or Ed25519 key")
		}
		if !key.IsPublic() {
			// A private key that somebody sent by mistake is known to us now. It must not be kept.
			return invalid("jwks", "has a private or symmetric key: send public keys only, and replace this one, which is no longer secret")
		}
		if bits := rsaBits(key); bits > 0 && (bits < 2048 || bits > 8192) {
			return invalid("jwks", "has an RSA key of %d bits: 2048 to 8192 are accepted", bits)
		}
	}
	return nil
}

func rsaBits(key jose.JSONWebKey) int {
	if public, ok := key.Key.(*rsa.PublicKey); ok {
		return public.N.BitLen()
	}
	return 0
}

// isHTTPS says whether a redirect URI belongs to whoever holds its host's certificate.
func isHTTPS(uri string) bool { return strings.HasPrefix(uri, "https://") }
