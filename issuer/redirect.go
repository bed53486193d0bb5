package issuer

import (
	"slices"
	"strings"
)

// redirectRegistered says whether a client registered a redirect URI.
//
// RFC 9700 §2.1: "authorization servers MUST utilize exact string matching except for port
// numbers in localhost redirection URIs of native apps". Nothing is decoded, lower-cased or
// resolved before: two strings that only mean the same are not the same.
func redirectRegistered(c *Client, uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if c.Type != "native" && c.Type != "mcp" {
		return false
	}
	// RFC 8252 §7.3: "The authorization server MUST allow any port to be specified at the time
	// of the request for loopback IP redirect URIs". §8.3: localhost is not one.
	portless, ok := withoutLoopbackPort(uri)
	if !ok {
		return false
	}
	for _, registered := range c.RedirectURIs {
		if other, ok := withoutLoopbackPort(registered); ok && other == portless {
			return true
		}
	}
	return false
}

// withoutLoopbackPort removes the port of an http redirect to an IP literal of the loopback
// interface. It is false for everything else.
func withoutLoopbackPort(uri string) (string, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			rest = strings.TrimLeft(port, "0123456789")
			if n := len(port) - len(rest); n == 0 || n > 5 {
				return "", false
			}
		}
		// What follows must not belong to the host: "http://127.0.0.1:80@evil.example" is
		// somebody else's.
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return "", false
		}
		return host + rest, true
	}
	return "", false
}

// withQuery adds an encoded query to a URI and preserves its own, RFC 6749 §3.1.2: "which
// MUST be retained when adding additional query parameters". The URI has no fragment: that
// was refused when it was registered.
func withQuery(uri, query string) string {
	switch {
	case query == "":
		return uri
	case !strings.Contains(uri, "?"):
		return uri + "?" + query
	case strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&"):
		return uri + query
	}
	return uri + "&" + query
}

// origin returns the origin of a redirect URI or, if its scheme is a private one, the scheme
// and its colon: what a content security policy calls a source.
func origin(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	if scheme != "https" && scheme != "http" {
		return scheme + ":"
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
	host, _, _ = strings.Cut(host, "?")
	return scheme + "://" + host
}

// redirectHost returns what a person is shown of a redirect URI.
func redirectHost(uri string) string {
	at := origin(uri)
	if _, host, ok := strings.Cut(at, "://"); ok {
		return host
	}
	return at
}
