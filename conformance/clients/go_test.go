package clients_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"mintmark/conformance"
)

func TestGoOIDCSignsIn(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		const back = "https://app.example/callback"
		sub := op.AddPerson("ada@example.com")
		app := op.AddClient("go-oidc", "web", "--redirect", back)

		ctx := t.Context()
		provider, err := gooidc.NewProvider(ctx, op.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		config := oauth2.Config{ClientID: app.ID, ClientSecret: app.Secret, Endpoint: provider.Endpoint(),
			RedirectURL: back, Scopes: []string{"openid", "profile", "email", "offline_access"}}
		verifier := oauth2.GenerateVerifier()
		page := conformance.NewPerson(t, "ada@example.com").SignIn(config.AuthCodeURL("state-1",
			oauth2.S256ChallengeOption(verifier), gooidc.Nonce("nonce-1")))
		answer := page.URL.Query()
		if answer.Get("state") != "state-1" || answer.Get("iss") != op.Issuer {
			t.Fatalf("the answer is %s", page.URL)
		}
		token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&gooidc.Config{ClientID: app.ID}).Verify(ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		if id.Subject != sub || id.Nonce != "nonce-1" {
			t.Errorf("the ID token is for %s with nonce %q", id.Subject, id.Nonce)
		}
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			t.Error(err)
		}
		user, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			t.Fatal(err)
		}
		if user.Subject != sub || user.Email != "ada@example.com" || !user.EmailVerified {
			t.Errorf("userinfo says %+v", user)
		}
		again, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err != nil {
			t.Fatal(err)
		}
		if again.RefreshToken == token.RefreshToken || again.AccessToken == token.AccessToken {
			t.Error("the refresh token did not rotate")
		}
	})
}

func TestZitadelRPSignsIn(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		const back = "https://app.example/callback"
		sub := op.AddPerson("ada@example.com")
		app := op.AddClient("zitadel", "web", "--redirect", back)

		ctx, nonce := t.Context(), "nonce-2"
		party, err := rp.NewRelyingPartyOIDC(ctx, op.Issuer, app.ID, app.Secret, back, []string{"openid", "email", "offline_access"},
			rp.WithVerifierOpts(rp.WithNonce(func(context.Context) string { return nonce })))
		if err != nil {
			t.Fatal(err)
		}
		verifier := oauth2.GenerateVerifier()
		page := conformance.NewPerson(t, "ada@example.com").SignIn(rp.AuthURL("state-2", party,
			rp.WithCodeChallenge(zitadel.NewSHACodeChallenge(verifier)), rp.AuthURLOpt(rp.WithURLParam("nonce", "nonce-2"))))
		tokens, err := rp.CodeExchange[*zitadel.IDTokenClaims](ctx, page.URL.Query().Get("code"), party, rp.WithCodeVerifier(verifier))
		if err != nil {
			t.Fatalf("%v (at %s)", err, page.URL)
		}
		if tokens.IDTokenClaims.Subject != sub {
			t.Errorf("signed in as %s", tokens.IDTokenClaims.Subject)
		}
		user, err := rp.Userinfo[*zitadel.UserInfo](ctx, tokens.AccessToken, tokens.TokenType, sub, party)
		if err != nil || user.Email != "ada@example.com" {
			t.Errorf("userinfo: %v %v", user, err)
		}
		nonce = "" // Core 12.2: a refreshed ID token should not have one
		again, err := rp.RefreshTokens[*zitadel.IDTokenClaims](ctx, party, tokens.RefreshToken, "", "")
		if err != nil || again.IDTokenClaims.Subject != sub {
			t.Fatalf("refresh: %v", err)
		}
		resource, err := rs.NewResourceServerClientCredentials(ctx, op.Issuer, app.ID, app.Secret)
		if err != nil {
			t.Fatal(err)
		}
		active, err := rs.Introspect[*zitadel.IntrospectionResponse](ctx, resource, again.AccessToken)
		if err != nil || !active.Active || active.Subject != sub {
			t.Errorf("introspection: %+v %v", active, err)
		}
		if err := rp.RevokeToken(ctx, party, again.RefreshToken, "refresh_token"); err != nil {
			t.Error(err)
		}
		active, err = rs.Introspect[*zitadel.IntrospectionResponse](ctx, resource, again.AccessToken)
		if err != nil || active.Active {
			t.Errorf("after the revocation: %+v %v", active, err)
		}
	})
}

func TestClientCredentialsOfXOAuth2(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		service := op.AddClient("robot", "service", "--scope", "orders:read")
		config := clientcredentials.Config{ClientID: service.ID, ClientSecret: service.Secret,
			TokenURL: op.Issuer + "/oauth/token", Scopes: []string{"orders:read"}}
		token, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.Expiry); left < 4*time.Minute || left > 6*time.Minute {
			t.Errorf("it lives for %s", left)
		}
		keys := gooidc.NewRemoteKeySet(t.Context(), op.Issuer+"/.well-known/jwks.json")
		claims, err := keys.VerifySignature(t.Context(), token.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Iss, Sub, Scope string }
		if err := json.Unmarshal(claims, &got); err != nil {
			t.Fatal(err)
		}
		if got.Iss != op.Issuer || got.Sub != service.ID || got.Scope != "orders:read" {
			t.Errorf("the token says %+v", got)
		}
	})
}

func TestJWKSIsAtItsOldAddressToo(t *testing.T) {
	op := conformance.Start(t, "")
	for _, path := range []string{"/keys", "/.well-known/jwks.json"} {
		u, err := url.JoinPath(op.Issuer, path)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
