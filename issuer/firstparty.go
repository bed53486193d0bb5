package issuer

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// FirstPartyOrigins returns the origins of the pages of a client that is ours: one for the web or a single-page
// application that needs no consent. It is empty for every other client, and for one that is not there.
//
// Only https counts, unless the issuer is on this machine: on plain HTTP anybody on the way writes the page.
func (p *Provider) FirstPartyOrigins(ctx context.Context, clientID string) ([]string, error) {
	if clientID == "" {
		return nil, nil
	}
	c, err := p.clients.get(ctx, clientID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case c.Consent != "never" || c.Type != "web" && c.Type != "spa":
		return nil, nil
	}
	var origins []string
	for _, uri := range c.RedirectURIs {
		origin, ok := Origin(uri)
		if !ok || strings.HasPrefix(origin, "http:") && !strings.HasPrefix(p.Issuer, "http:") {
			continue
		}
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins, nil
}

// Origin returns the origin of an address as browsers say it in the header, RFC 6454 §6.2: scheme and host
// in lower case, and the port only if it is not the scheme's own. It is false for what is not HTTP.
func Origin(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; u.Port() != "" {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":"), true
}
