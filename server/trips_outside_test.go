package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/upstream"
)

// outside measures what tokens of other issuers cost, whose keys are known.
func (m *meter) outside() {
	m.t.Helper()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), Algorithm: "ES256", Use: "sig"}}})
	must(err)
	service, err := m.s.apiKeys.AddService(m.t.Context(), "pod", "", apikeys.By{})
	must(err)
	lent, _, err := m.s.apiKeys.Make(m.t.Context(), apikeys.New{Name: "pod", OwnerType: apikeys.OwnerService, OwnerID: service.ID, Scopes: []string{"a"}, ExpiresAt: time.Now().Add(time.Hour)}, apikeys.By{})
	must(err)
	now := time.Now().UTC().Truncate(time.Microsecond)
	for name, rules := range map[string][]upstream.TokenRule{
		"people": nil,
		"pods":   {{Key: lent.ID, Claims: map[string]string{"sub": "pod"}, Reusable: true}},
		"jobs":   {{Key: lent.ID, Claims: map[string]string{"sub": "job"}}},
	} {
		id := secret.NewID("prv")
		must(m.s.db.Upstream().AddProvider(m.t.Context(), upstream.Provider{ID: id, Name: name, Kind: "issuer", Issuer: "https://" + name + ".example", Keys: set,
			TokenAudiences: []string{"us"}, Algorithms: []string{"ES256"}, SignUp: upstream.SignUpOpen, TokenRules: rules, CreatedAt: now, UpdatedAt: now},
			apikeys.By{Via: "server", At: now}.Event("provider.add", id, "")))
	}
	m.s.upstream.Forget()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	must(err)
	token := func(name, sub string) string {
		text, err := json.Marshal(map[string]any{"iss": "https://" + name + ".example", "sub": sub, "aud": "us", "exp": now.Add(time.Minute).Unix(), "jti": secret.NewID("")})
		must(err)
		signed, err := signer.Sign(text)
		must(err)
		compact, err := signed.CompactSerialize()
		must(err)
		return compact
	}
	exchange := func(token string) url.Values {
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token}, "subject_token_type": {issuer.TokenTypeJWT}}
	}
	gateway := m.client(issuer.Client{Name: "Gateway", Type: "web", RedirectURIs: []string{back}, Consent: "never",
		GrantTypes: []string{"authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"}})
	m.send(200, "POST", "/oauth/token", exchange(token("people", "ada")), gateway.basic) // who gets an account
	m.s.upstream.Heard(time.Now())
	m.pay("a token of another issuer, of somebody who was here", 200, "POST", "/oauth/token", exchange(token("people", "ada")), gateway.basic)
	m.send(200, "POST", "/oauth/token", exchange(token("pods", "pod")))
	m.s.apiKeys.Heard(time.Now())
	m.pay("a program's token, for a key that was seen", 200, "POST", "/oauth/token", exchange(token("jobs", "job")))
	m.pay("a program's token that is reusable, for a key that was seen", 200, "POST", "/oauth/token", exchange(token("pods", "pod")))
	m.pay("a token of another issuer that is not good", 400, "POST", "/oauth/token", exchange(token("pods", "nobody")))
	m.pay("a token of another issuer that is not good", 400, "POST", "/oauth/token", exchange(token("strangers", "ada")))
}
