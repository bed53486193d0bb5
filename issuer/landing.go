package issuer

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// A Landing is a page of an application where people may be sent who have signed in without a
// request of it.
type Landing struct {
	Client  Client
	Host    string // what to show a person of it
	Address string // where to send the browser
}

// landings is everything that an application registers and that people may be sent to. All of it was
// checked when it was registered, and all of it is compared byte for byte: RFC 9700 §4.11.2.
var landings = []struct {
	field string
	of    func(c *Client) []string
	// begins says that the application begins a sign-in there. OpenID Connect Core §4: it is told
	// iss, by whom.
	begins bool
}{
	{"initiate_login_uri", func(c *Client) []string { return []string{c.InitiateLoginURI} }, true},
	{"client_uri", func(c *Client) []string { return []string{c.URI} }, false},
	{"post_logout_redirect_uris", func(c *Client) []string { return c.PostLogoutRedirectURIs }, false},
	{"redirect_uris", func(c *Client) []string { return c.RedirectURIs }, false},
}

// Landing returns the page of an application that has an address, or [ErrNotFound]: there is no
// such application, it is disabled, or it has not registered the address as it stands there. What only
// an application of a device opens is no page.
func (p *Provider) Landing(ctx context.Context, clientID, uri string) (Landing, error) {
	if !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://") {
		return Landing{}, ErrNotFound
	}
	client, err := p.clients.get(ctx, clientID)
	if err != nil {
		return Landing{}, err
	}
	for _, l := range landings {
		if !slices.Contains(l.of(client), uri) {
			continue
		}
		found := Landing{Client: client.clone(), Host: redirectHost(uri), Address: uri}
		if l.begins {
			found.Address = withIssuer(uri, p.Issuer)
		}
		return found, nil
	}
	return Landing{}, ErrNotFound
}

// withIssuer adds iss to an address that has none: it would not have been registered.
func withIssuer(uri, issuer string) string {
	before := "?"
	if strings.Contains(uri, "?") {
		before = "&"
	}
	return uri + before + url.Values{"iss": {issuer}}.Encode()
}
