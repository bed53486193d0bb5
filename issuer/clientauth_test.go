package issuer_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mintmark/issuer"
)

func basic(r *http.Request, id, secret string) *http.Request {
	r.SetBasicAuth(id, secret)
	return r
}

func raw(r *http.Request, header string) *http.Request {
	r.Header.Set("Authorization", header)
	return r
}

func TestClientsAuthenticateInTheirOneWay(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		inHeader := h.app(t, func(c *issuer.Client) { service("a")(c); c.AuthMethod = "client_secret_basic" })
		either := h.app(t, service("a")) // nobody chose
		inBody := h.app(t, func(c *issuer.Client) { service("a")(c); c.AuthMethod = "client_secret_post" })
		spa := h.app(t, public)
		disabled := h.app(t, service("a"))
		if err := h.db.Registry().DisableClient(t.Context(), disabled.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		odd := h.app(t, func(c *issuer.Client) { service("a")(c); c.ID = "a+b:c/d%20e" })
		chosen := "p%41ss+word:of/somebody=who likes"[:27]
		hash, err := issuer.HashClientSecret(t.Context(), h.Hasher, chosen, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		person := h.app(t, func(c *issuer.Client) { service("a")(c); c.Secrets = []issuer.ClientSecret{hash} })

		cc := func(pairs ...string) *http.Request {
			return posting(append([]string{"grant_type", "client_credentials"}, pairs...)...)
		}
		inAddress := cc("client_id", inBody.ID)
		inAddress.URL.RawQuery = "client_secret=" + inBody.secret
		byGet := httptest.NewRequest("GET", front+"/oauth/token?"+values("grant_type", "client_credentials", "client_id", inBody.ID, "client_secret", inBody.secret).Encode(), nil)
		two := basic(cc(), inHeader.ID, inHeader.secret)
		two.Header.Add("Authorization", two.Header.Get("Authorization"))
		encoded := func(id, secret string) string {
			return "Basic " + base64.StdEncoding.EncodeToString([]byte(values("", id).Encode()[1:]+":"+values("", secret).Encode()[1:]))
		}

		for _, tt := range []struct {
			name string
			r    *http.Request
			want string
		}{
			{"RFC 6749 2.3.1, in the header", basic(cc(), inHeader.ID, inHeader.secret), "ok"},
			{"RFC 6749 2.3.1, with its client_id in the body as well", basic(cc("client_id", inHeader.ID), inHeader.ID, inHeader.secret), "ok"},
			{"RFC 9110 11.1, schemes have no case", raw(cc(), "bAsIc "+base64.StdEncoding.EncodeToString([]byte(inHeader.ID+":"+inHeader.secret))), "ok"},
			{"RFC 6749 2.3.1, encoded as in a form", raw(cc(), encoded(person.ID, chosen)), "ok"},
			{"RFC 6749 2.3.1, raw, as many libraries do", basic(cc(), person.ID, chosen), "ok"},
			{"RFC 6749 2.3.1, an id that needs encoding", raw(cc(), encoded(odd.ID, odd.secret)), "ok"},
			{"RFC 7617 2, a raw id can't have a colon", basic(cc(), odd.ID, odd.secret), "invalid_client"},
			{"RFC 6749 2.3.1, in the body", cc("client_id", inBody.ID, "client_secret", inBody.secret), "ok"},
			{"nobody chose, in the header", basic(cc(), either.ID, either.secret), "ok"},
			{"nobody chose, in the body", cc("client_id", either.ID, "client_secret", either.secret), "ok"},
			{"nobody chose, but not without a secret", cc("client_id", either.ID), "invalid_client"},
			{"Core 9, body instead of header", cc("client_id", inHeader.ID, "client_secret", inHeader.secret), "invalid_client"},
			{"Core 9, header instead of body", basic(cc(), inBody.ID, inBody.secret), "invalid_client"},
			{"RFC 6749 2.3, both at once", basic(cc("client_id", inHeader.ID, "client_secret", inHeader.secret), inHeader.ID, inHeader.secret), "invalid_request"},
			{"RFC 6749 2.3, a header and an assertion", basic(cc("client_assertion", "a.b.c", "client_assertion_type", assertionType), inHeader.ID, inHeader.secret), "invalid_request"},
			{"RFC 6749 2.3, the header twice", two, "invalid_request"},
			{"two clients in one request", basic(cc("client_id", inBody.ID), inHeader.ID, inHeader.secret), "invalid_request"},
			{"RFC 6749 5.2, a wrong secret in the header", basic(cc(), inHeader.ID, inHeader.secret+"x"), "invalid_client"},
			{"RFC 6749 5.2, a wrong secret in the body", cc("client_id", inBody.ID, "client_secret", "wrong"), "invalid_client"},
			{"RFC 6749 5.2, a secret that somebody chose, wrong", basic(cc(), person.ID, chosen+"x"), "invalid_client"},
			{"RFC 6749 5.2, no secret", cc("client_id", inHeader.ID), "invalid_client"},
			{"RFC 6749 5.2, an empty secret", basic(cc(), inHeader.ID, ""), "invalid_client"},
			{"RFC 6749 5.2, the hash is not the secret", basic(cc(), inHeader.ID, inHeader.Secrets[0].Hash), "invalid_client"},
			{"RFC 6749 5.2, an unknown client", basic(cc(), "stranger", inHeader.secret), "invalid_client"},
			{"RFC 6749 5.2, an id that can't be one", basic(cc(), "str\x00anger", inHeader.secret), "invalid_client"},
			{"RFC 6749 5.2, a disabled client", disabled.as("grant_type", "client_credentials"), "invalid_client"},
			{"RFC 6749 5.2, nobody", cc(), "invalid_client"},
			{"RFC 6749 5.2, another scheme", raw(cc(), "Bearer "+inHeader.secret), "invalid_client"},
			{"RFC 7617 2, not base64", raw(cc(), "Basic ***"), "invalid_client"},
			{"RFC 7617 2, no colon", raw(cc(), "Basic "+base64.StdEncoding.EncodeToString([]byte(inHeader.ID))), "invalid_client"},
			{"a header without end", raw(cc(), "Basic "+strings.Repeat("A", 1<<20)), "invalid_client"},
			{"RFC 6749 2.3.1, a secret in the address", inAddress, "invalid_request"},
			{"RFC 6749 3.2, by GET", byGet, "invalid_request"},
			{"RFC 7521 4.2, a type without an assertion", cc("client_id", inBody.ID, "client_assertion_type", assertionType), "invalid_request"},
			{"RFC 7521 4.2, another type", cc("client_assertion", "a.b.c", "client_assertion_type", "saml"), "invalid_request"},
		} {
			got := send(t, h.Token, tt.r)
			if got.what != tt.want {
				t.Errorf("%s: got %s (%v), want %s", tt.name, got.what, got.refusal, tt.want)
			}
			if tried := tt.r.Header.Get("Authorization") != ""; got.what == "invalid_client" && tried && !got.refusal.Basic {
				t.Errorf("%s: RFC 6749 5.2 wants a challenge of the scheme that was tried", tt.name)
			}
		}

		// Unknown, disabled, wrong and by the wrong method look the same.
		texts := map[string]bool{}
		for _, r := range []*http.Request{
			basic(cc(), inHeader.ID, "wrong"), basic(cc(), "stranger", "wrong"), basic(cc(), disabled.ID, disabled.secret), basic(cc(), inBody.ID, inBody.secret),
		} {
			texts[send(t, h.Token, r).refusal.Description] = true
		}
		if len(texts) != 1 {
			t.Errorf("the refusals can be told apart: %v", texts)
		}

		// A public client proves nothing, and says so in either way.
		for name, r := range map[string]*http.Request{
			"RFC 6749 3.2.1, client_id":                 spa.as("grant_type", "refresh_token"),
			"with a header and an empty password":       basic(posting("grant_type", "refresh_token"), spa.ID, ""),
			"with a header, an empty password and body": basic(posting("grant_type", "refresh_token", "client_id", spa.ID), spa.ID, ""),
		} {
			if got := send(t, h.Token, r); got.what != "invalid_request" { // refresh_token is missing: it was let in
				t.Errorf("%s: %s", name, got.what)
			}
		}
		for name, r := range map[string]*http.Request{
			"a secret in the body":   posting("grant_type", "refresh_token", "client_id", spa.ID, "client_secret", "x"),
			"a secret in the header": basic(posting("grant_type", "refresh_token"), spa.ID, "x"),
		} {
			if got := send(t, h.Token, r); got.what != "invalid_client" {
				t.Errorf("Core 9, a public client with %s: %s", name, got.what)
			}
		}
	})
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// RFC 6749 §4.1.3: the client is authenticated first. A code must survive a client that has
// its secret wrong, and every endpoint asks.
func TestWhoFailsToAuthenticateChangesNothing(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		web, v := h.app(t, nil), h.visitor(t)
		wrong := app{web.Client, "wrong"}
		code := h.code(t, web, v, nil)
		before := h.db.Trips()
		if got := h.redeem(t, wrong, code); got.what != "invalid_client" {
			t.Errorf("a code with the wrong secret: %s", got.what)
		}
		if n := h.db.Trips() - before; n != 1 {
			t.Errorf("%d round trips before the client is known to be who it is", n)
		}
		got := h.redeem(t, web, code)
		if got.what != "ok" {
			t.Fatalf("the code did not survive: %v", got.refusal)
		}
		if got := h.renew(t, wrong, got.str("refresh_token")); got.what != "invalid_client" {
			t.Errorf("a refresh with the wrong secret: %s", got.what)
		}
		for name, to := range map[string]handler{"introspection": h.Introspect, "revocation": h.Revoke} {
			if got := send(t, to, wrong.as("token", got.str("refresh_token"))); got.what != "invalid_client" || !got.refusal.Basic {
				t.Errorf("%s with the wrong secret: %v", name, got.refusal)
			}
			if got := send(t, to, posting("token", "x")); got.what != "invalid_client" {
				t.Errorf("%s by nobody: %s", name, got.what)
			}
			if got := send(t, to, httptest.NewRequest("GET", front+"/x?token=x", nil)); got.what != "invalid_request" {
				t.Errorf("%s by GET: %s", name, got.what)
			}
		}
		if got := h.renew(t, web, got.str("refresh_token")); got.what != "ok" {
			t.Errorf("the refresh token did not survive: %v", got.refusal)
		}
	})
}

func TestTwoSecretsWhileOneIsReplaced(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		now := time.Now()
		old, kept := issuer.NewClientSecret(h.mint, now)
		fresh, keptToo := issuer.NewClientSecret(h.mint, now)
		gone, keptNoMore := issuer.NewClientSecret(h.mint, now)
		kept.ExpiresAt = now.Add(time.Hour)
		keptNoMore.ExpiresAt = now.Add(-time.Second)
		robot := h.app(t, func(c *issuer.Client) {
			service("a")(c)
			c.Secrets = []issuer.ClientSecret{keptNoMore, kept, keptToo}
		})
		for name, tt := range map[string]struct{ secret, want string }{
			"the old one, an hour before it expires": {old.Reveal(), "ok"},
			"the new one":                            {fresh.Reveal(), "ok"},
			"the expired one":                        {gone.Reveal(), "invalid_client"},
		} {
			if got := h.own(t, app{robot.Client, tt.secret}); got.what != tt.want {
				t.Errorf("%s: %s", name, got.what)
			}
		}
	})
}

// A secret that a person chose is verified slowly once. Wrong ones stay slow, and a change of
// the secret is not outlived by what was remembered.
func TestASlowSecretIsVerifiedOnce(t *testing.T) {
	inEach(t, func(t *testing.T, h *house, _ func() *house) {
		hash, err := issuer.HashClientSecret(t.Context(), h.Hasher, "a calm otter, twice"[:12], time.Now())
		if err == nil {
			t.Error("RFC 6749 A.2: a secret with a space was taken")
		}
		if hash, err = issuer.HashClientSecret(t.Context(), h.Hasher, "a-calm-otter", time.Now()); err != nil {
			t.Fatal(err)
		}
		robot := h.app(t, func(c *issuer.Client) { service("a")(c); c.Secrets = []issuer.ClientSecret{hash} })
		robot.secret = "a-calm-otter"
		before := h.Hasher.Computed()
		for range 5 {
			if got := h.own(t, robot); got.what != "ok" {
				t.Fatal(got.refusal)
			}
		}
		if n := h.Hasher.Computed() - before; n != 1 {
			t.Errorf("%d hashes for one secret", n)
		}
		for range 2 {
			if got := h.own(t, app{robot.Client, "a-calm-otte"}); got.what != "invalid_client" {
				t.Errorf("a wrong one: %s", got.what)
			}
		}
		if n := h.Hasher.Computed() - before; n != 3 {
			t.Errorf("%d hashes after two wrong secrets", n)
		}
		other, err := issuer.HashClientSecret(t.Context(), h.Hasher, "a-wild-otter", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := h.db.Registry().SetClientSecrets(t.Context(), robot.ID, robot.Secrets, []issuer.ClientSecret{other}, time.Now()); err != nil {
			t.Fatal(err)
		}
		h.ForgetClient(robot.ID)
		if got := h.own(t, robot); got.what != "invalid_client" {
			t.Errorf("the old secret after the change: %s", got.what)
		}
	})
}
