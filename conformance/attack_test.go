package conformance_test

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// The stories of this file are attacks that went through once, here or elsewhere.

// What an operator takes back from a client is not in the tokens of the next refresh either:
// security.md 2.2, "all authority re-evaluated at refresh".
func TestWhatAClientMayNotAnyMore(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		const orders, stock = "https://orders.example", "https://stock.example"
		for _, format := range []string{"jwt", "opaque"} {
			t.Run(format, func(t *testing.T) {
				web := newApp(t, op, "web", "--access-token", format, "--audience", orders, "--audience", stock)
				p, _ := newPerson(t, op)
				got := web.tokens(p, "scope", "openid email profile offline_access", "prompt", "consent")
				late := web.code(p, "scope", "openid email profile")

				op.Run("clients", "set", web.ID, "--scope", "openid", "--scope", "profile", "--scope", "offline_access", "--audience", orders)
				for name, next := range map[string]answer{"a refresh": web.refresh(got.str("refresh_token")), "a code": web.redeem(late)} {
					if next.what() != "ok" {
						t.Fatalf("%s got %s", name, next.Body)
					}
					if scope := next.str("scope"); strings.Contains(scope, "email") || !strings.Contains(scope, "profile") {
						t.Errorf("%s has the scope %q", name, scope)
					}
					access := next.str("access_token")
					if told := web.userinfo(access); told.str("email") != "" || told.str("name") == "" {
						t.Errorf("after %s, userinfo tells %s", name, told.Body)
					}
					seen := web.introspect(access)
					if seen.JSON["active"] != true || strings.Contains(seen.str("scope"), "email") || seen.JSON["aud"] != orders {
						t.Errorf("after %s, introspection tells %s", name, seen.Body)
					}
				}
				again := web.refresh(got.str("refresh_token"))
				if got := web.refresh(again.str("refresh_token"), "scope", "email"); got.what() != "invalid_scope" {
					t.Errorf("asked for by name: %s", got.Body)
				}
				if got := web.refresh(again.str("refresh_token"), "resource", stock); got.what() != "invalid_target" {
					t.Errorf("asked for by name: %s", got.Body)
				}
				// Without any audience of its own left it does not get one for us.
				op.Run("clients", "set", web.ID, "--audience", "https://elsewhere.example")
				if got := web.refresh(again.str("refresh_token")); got.what() != "invalid_target" {
					t.Errorf("with another audience altogether: %s", got.Body)
				}
			})
		}
	})
}

// Whoever has not signed in can't fill the database: security.md 2.2, "no row for an
// unauthenticated request unless quota-bounded".
func TestNobodyLeavesARow(t *testing.T) {
	url := storagetest.Postgres(t)
	for _, on := range []struct{ name, database, driver string }{
		{"sqlite", "", "sqlite"},
		{"postgres", url, "pgx"},
	} {
		t.Run(on.name, func(t *testing.T) {
			op := conformance.Start(t, on.database)
			source := on.database
			if source == "" {
				source = "file:" + filepath.Join(op.Data, "mintmark.db") + "?mode=ro"
			}
			db, err := sql.Open(on.driver, source)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			rows := func() (n int) {
				t.Helper()
				for _, table := range []string{"authorizations", "consents", "sessions", "accounts"} {
					var more int
					if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&more); err != nil {
						t.Fatal(err)
					}
					n += more
				}
				return n
			}
			web := newApp(t, op, "web")
			email := "nobody@example.com"
			before := rows()
			for range 20 {
				p := conformance.NewPerson(t, email)
				page := p.Submit(p.Visit(web.request()), "login-cancel")
				if got := what(t, op, page, "some state"); got != "access_denied" {
					t.Fatalf("cancelled: %s", got)
				}
				p.Post(op.Address+"/authorize", with(nil))
				p.Visit(op.Address + "/end_session")
			}
			if after := rows(); after != before {
				t.Errorf("%d rows after nobody came 20 times, %d before", after, before)
			}
		})
	}
}

// The claims parameter is no way around the person: security.md 2.2, consent; OpenID Connect
// Core 5.5.
func TestClaimsAskedOneByOneAreAllowedByThePerson(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op, "web")
		for _, tt := range []struct{ name, claims, told string }{
			{"for userinfo", `{"userinfo":{"email":null}}`, "e-mail address"},
			{"for the ID token", `{"id_token":{"email":{"essential":true}}}`, "e-mail address"},
			{"to guess a value", `{"userinfo":{"phone_number":{"value":"+44 20 7946 0000"}}}`, "phone number"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				p, _ := newPerson(t, op)
				web.code(p) // allows openid, and nothing else
				silent := p.Visit(web.request("claims", tt.claims, "prompt", "none"))
				if got := what(t, op, silent, "some state"); got != "consent_required" {
					t.Errorf("with prompt=none: %s", got)
				}
				page := p.Visit(web.request("claims", tt.claims))
				if !page.Has("consent-approve") || !strings.Contains(page.Body, tt.told) {
					t.Fatalf("the person is not told: %d %.2000s", page.Status, page.Body)
				}
				p.Submit(page, "consent-approve")
				if again := p.Visit(web.request("claims", tt.claims)); again.URL.Query().Get("code") == "" {
					t.Errorf("it was allowed, and is asked again: %s", again.URL)
				}
			})
		}
	})
}

// RFC 8252 8.6: any program on the device can show a native client's id and take the answer, so
// that nothing is given without its person, however often they agreed before.
func TestANativeClientNeverGoesThroughSilently(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		native := op.AddClient("Phone", "native", "--redirect", "com.example.app:/cb")
		p, _ := newPerson(t, op)
		ask := func(more ...string) conformance.Page {
			values := url.Values{"client_id": {native.ID}, "redirect_uri": {"com.example.app:/cb"}, "response_type": {"code"},
				"scope": {"openid"}, "state": {"s"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
			return p.Visit(op.Issuer + "/authorize?" + with(values, more...).Encode())
		}
		if page := p.Follow(ask()); page.URL.Query().Get("code") == "" {
			t.Fatalf("the first time: %s", page.URL)
		}
		if page := ask(); !page.Has("consent-approve") {
			t.Errorf("the second time nobody was asked: %s", page.URL)
		}
		if page := ask("prompt", "none"); page.URL.Query().Get("error") != "consent_required" {
			t.Errorf("prompt=none: %s", page.URL)
		}
	})
}
