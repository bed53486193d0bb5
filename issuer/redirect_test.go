package issuer

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestRedirectIsComparedExactly(t *testing.T) {
	web := &Client{Type: "web", RedirectURIs: []string{"https://app.example/cb?a=1", "http://127.0.0.1:8080/cb"}}
	native := &Client{Type: "native", RedirectURIs: []string{
		"http://127.0.0.1/cb", "http://[::1]:1234/cb?x=1", "http://localhost:8080/cb", "com.example.app:/cb", "https://app.example:8443/cb",
	}}
	for _, tt := range []struct {
		name   string
		client *Client
		uri    string
		want   bool
	}{
		{"RFC 9700 2.1, the same", web, "https://app.example/cb?a=1", true},
		{"RFC 9700 2.1, without its query", web, "https://app.example/cb", false},
		{"RFC 9700 2.1, more query", web, "https://app.example/cb?a=1&b=2", false},
		{"RFC 9700 2.1, upper case", web, "https://APP.example/cb?a=1", false},
		{"RFC 9700 2.1, percent-encoded", web, "https://app.example/%63b?a=1", false},
		{"RFC 9700 2.1, the default port", web, "https://app.example:443/cb?a=1", false},
		{"RFC 9700 2.1, a prefix", web, "https://app.example/cb?a=1@evil.example", false},
		{"RFC 8252 7.3, another port, but of a web client", web, "http://127.0.0.1:9090/cb", false},
		{"RFC 8252 7.3, any port", native, "http://127.0.0.1:51234/cb", true},
		{"RFC 8252 7.3, no port", native, "http://[::1]/cb?x=1", true},
		{"RFC 8252 7.3, any port of IPv6", native, "http://[::1]:9/cb?x=1", true},
		{"RFC 8252 7.3, but the query counts", native, "http://[::1]:9/cb", false},
		{"RFC 8252 7.3, but the path counts", native, "http://127.0.0.1:51234/other", false},
		{"RFC 8252 7.3, the other address", native, "http://127.0.0.1:9/cb?x=1", false},
		{"RFC 8252 8.3, localhost is no IP literal", native, "http://localhost:9090/cb", false},
		{"localhost as registered", native, "http://localhost:8080/cb", true},
		{"not for https", native, "https://app.example:9443/cb", false},
		{"https instead of http", native, "https://127.0.0.1:51234/cb", false},
		{"a port that is a user name", native, "http://127.0.0.1:80@evil.example/cb", false},
		{"a user name", native, "http://x@127.0.0.1:80/cb", false},
		{"a longer host", native, "http://127.0.0.1.evil.example/cb", false},
		{"an empty port", native, "http://127.0.0.1:/cb", false},
		{"six digits of port", native, "http://127.0.0.1:123456/cb", false},
		{"a fragment after the port", native, "http://127.0.0.1:80#/cb", false},
		{"a private scheme", native, "com.example.app:/cb", true},
		{"a private scheme, more slashes", native, "com.example.app:///cb", false},
		{"nothing", native, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := redirectRegistered(tt.client, tt.uri); got != tt.want {
				t.Errorf("%s: %v", tt.uri, got)
			}
		})
	}
}

// Whatever is accepted and was not registered goes to the same loopback address and path:
// only the port is another.
func FuzzRedirect(f *testing.F) {
	f.Add("http://127.0.0.1:80@evil.example/cb")
	f.Add("http://[::1]:9/cb?x=1")
	f.Add("http://127.0.0.1:1/cb")
	c := &Client{Type: "native", RedirectURIs: []string{"http://127.0.0.1:8080/cb", "http://[::1]/cb?x=1"}}
	f.Fuzz(func(t *testing.T, uri string) {
		if !redirectRegistered(c, uri) || slices.Contains(c.RedirectURIs, uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q was accepted and is no URL: %v", uri, err)
		}
		if u.Scheme != "http" || u.User != nil || u.Fragment != "" || !loopbackAddress(u.Hostname()) ||
			u.Path != "/cb" || u.Hostname() == "::1" != (u.RawQuery == "x=1") {
			t.Errorf("%q was accepted", uri)
		}
	})
}

func TestResponseParametersAreAdded(t *testing.T) {
	for _, tt := range []struct{ uri, want string }{
		{"https://app.example/cb", "https://app.example/cb?code=1"},
		{"https://app.example/cb?foo=bar", "https://app.example/cb?foo=bar&code=1"}, // RFC 6749 §3.1.2
		{"https://app.example/cb?", "https://app.example/cb?code=1"},
		{"https://app.example", "https://app.example?code=1"},
		{"com.example.app:/cb", "com.example.app:/cb?code=1"},
	} {
		if got := withQuery(tt.uri, "code=1"); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.uri, got, tt.want)
		}
	}
}

func TestOriginOfARedirectURI(t *testing.T) {
	for _, tt := range []struct{ uri, origin, host string }{
		{"https://app.example/cb", "https://app.example", "app.example"},
		{"https://app.example:8443?x=/", "https://app.example:8443", "app.example:8443"},
		{"http://[::1]:80/cb", "http://[::1]:80", "[::1]:80"},
		{"com.example.app:/cb", "com.example.app:", "com.example.app:"},
		{"cursor://anysphere.cursor/cb", "cursor:", "cursor:"},
	} {
		if got := origin(tt.uri); got != tt.origin {
			t.Errorf("%s: origin %s", tt.uri, got)
		}
		if got := redirectHost(tt.uri); got != tt.host {
			t.Errorf("%s: host %s", tt.uri, got)
		}
	}
}

func TestRegisteredURIs(t *testing.T) {
	for _, tt := range []struct {
		uri          string
		web, private bool // may be registered by a web client, by a native one
	}{
		{"https://app.example/cb", true, true},
		{"https://app.example", true, true},
		{"https://app.example:8443/cb?foo=bar", true, true},
		{"https://app.example/%7Euser/cb", true, true},
		{"http://127.0.0.1/cb", true, true},
		{"http://[::1]:8080/cb", true, true},
		{"http://localhost:8080/cb", true, true},
		{"com.example.app:/cb", false, true},
		{"cursor://anysphere.cursor/cb", false, true},
		{"http://app.example/cb", false, false},
		{"http://127.0.0.2/cb", false, false},
		{"https://app.example/cb#fragment", false, false}, // RFC 6749 §3.1.2
		{"https://app.example/cb#", false, false},
		{"https://user@app.example/cb", false, false},
		{"https://user:pw@app.example/cb", false, false},
		{"https://*.app.example/cb", false, false},
		{"https://app.example/*", false, false},
		{"https://app.example/a/../cb", false, false},
		{"https://app.example/a/%2e%2E/cb", false, false},
		{"https://app.example/./cb", false, false},
		{"https://app.example/..", false, false},
		{`https://app.example\@evil.example/`, false, false},
		{"https://app.example/c b", false, false},
		{"https://app.example/cb\n", false, false},
		{"https://app.example/\x00", false, false},
		{"https://app.example/ü", false, false},
		{"https://app.example/%zz", false, false},
		{"https://app.example/cb?x=%zz", false, false},
		{"https://app.example/cb?code=1", false, false},
		{"https://app.example/cb?a=1&state=1", false, false},
		{"HTTPS://app.example/cb", false, false},
		{"https:///cb", false, false},
		{"https:cb", false, false},
		{"//app.example/cb", false, false},
		{"/cb", false, false},
		{"", false, false},
		{"javascript:alert(1)", false, false},
		{"javascript://app.example/%0aalert(1)", false, false},
		{"data:text/html,x", false, false},
		{"data:/text", false, false},
		{"file:///etc/passwd", false, false},
		{"vbscript:/x", false, false},
		{"blob:/x", false, false},
		{"about:/blank", false, false},
		{"com.example.app:cb", false, false},
		{"com example:/cb", false, false},
		{"https://app.example/" + strings.Repeat("a", maxURI), false, false},
	} {
		if err := checkURI("redirect_uris", tt.uri, false); (err == nil) != tt.web {
			t.Errorf("web, %q: %v", tt.uri, err)
		}
		if err := checkURI("redirect_uris", tt.uri, true); (err == nil) != tt.private {
			t.Errorf("native, %q: %v", tt.uri, err)
		}
	}
}
