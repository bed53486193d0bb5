package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// A discovery is what we use of an issuer's metadata, OpenID Connect Discovery §3.
type discovery struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	JWKS          string `json:"jwks_uri"`
}

// discover reads the metadata of an issuer, as any application does.
func (s *remote) discover(ctx context.Context, issuer string) (discovery, error) {
	body, err := s.get(ctx, strings.TrimRight(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return discovery{}, err
	}
	var d discovery
	if err := json.Unmarshal(body, &d); err != nil {
		return discovery{}, fmt.Errorf("the discovery document of %s is not JSON", issuer)
	}
	// OpenID Connect Discovery §4.3: "The issuer value returned MUST be identical to the Issuer
	// URL that was used as the prefix".
	if d.Issuer != issuer {
		return d, fmt.Errorf("the discovery document that %s serves says that the issuer is %q", issuer, d.Issuer)
	}
	return d, nil
}

// get reads a public document. It shows no key.
func (s *remote) get(ctx context.Context, at string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	status, body, err := s.send(r)
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("%s answers with status %d", at, status)
	}
	return body, nil
}
