package conformance_test

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
)

const accessType = "urn:ietf:params:oauth:token-type:access_token"

// keepsTokens adds a provider whose tokens are kept.
func keepsTokens(t *testing.T, op *conformance.Server, e *elsewhere, name string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a client secret of ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	op.Do("providers", "add", name, "--kind", "oidc", "--issuer", e.URL, "--client-id", "mintmark", "--client-secret-file", secret, "--keep-tokens")
}

// newAgent registers an application that may act at a provider.
func newAgent(t *testing.T, op *conformance.Server, provider, scopes string, flags ...string) app {
	t.Helper()
	return newApp(t, op, "web", append([]string{"--grant", "authorization_code", "--grant", "refresh_token", "--grant", exchangeGrant,
		"--scope", "upstream:" + provider, "--upstream-token", provider + ":" + scopes}, flags...)...)
}

// acts exchanges an access token for one of a provider, with changes to the form.
func (a app) acts(token, provider string, changes ...string) answer {
	a.t.Helper()
	return a.token(with(url.Values{"grant_type": {exchangeGrant}, "subject_token": {token}, "subject_token_type": {accessType},
		"audience": {"urn:mintmark:provider:" + provider}}, changes...))
}

// handed returns what the audit log says of tokens that were handed out for an account.
func handed(t *testing.T, op *conformance.Server, account string) (found []map[string]any) {
	t.Helper()
	out, err := exec.Command(conformance.Program(t), "audit", "list", "--on", account, "--output", "json", "--data", op.Data).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(e map[string]any) bool { return e["action"] != "vault.hand" })
}

// RFC 8693 §2: an agent acts elsewhere for a person who allowed it, and never sees the refresh token.
func TestAnAgentGetsATokenOfAProvider(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		e := newElsewhere(t)
		keepsTokens(t, op, e, "hub")
		agent := newAgent(t, op, "hub", "openid,repo")
		less := newAgent(t, op, "hub", "openid")
		other := newAgent(t, op, "hub", "openid,repo")
		none := newApp(t, op, "web", "--scope", "upstream:hub", "--grant", "authorization_code", "--grant", exchangeGrant)

		ada := conformance.NewPerson(t, "")
		if page := ada.Visit(op.Issuer + "/login/hub"); page.Status != 200 {
			t.Fatalf("signing in: %d %.300s", page.Status, page.Body)
		}
		allows := func(p *conformance.Person, a app, scope string) string {
			t.Helper()
			page := p.Visit(a.request("scope", scope))
			if page.Has("consent-approve") {
				if scope != "openid" && !strings.Contains(page.Body, "Act for you at hub") {
					t.Error("the consent page does not say what it is about")
				}
				page = p.Submit(page, "consent-approve")
			}
			got := a.redeem(page.URL.Query().Get("code"))
			if got.what() != "ok" {
				t.Fatalf("%s: %s", page.URL, got.Body)
			}
			return got.str("access_token")
		}
		if page := ada.Visit(op.Issuer + "/account"); !strings.Contains(page.Body, "Applications can act there for you") {
			t.Error("the account page does not say that the tokens are kept")
		}
		ours := allows(ada, agent, "openid upstream:hub")
		got := agent.acts(ours, "hub")
		if got.what() != "ok" || !strings.HasPrefix(got.str("access_token"), `their "access" token `) || got.str("scope") != "openid repo" ||
			got.str("issued_token_type") != accessType || got.JSON["refresh_token"] != nil || got.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("RFC 8693 2.2.1: %s", got.Body)
		}
		if n, ok := got.JSON["expires_in"].(float64); !ok || n < 3500 || n > 3600 {
			t.Errorf("expires_in: %s", got.Body)
		}

		person, _ := newPerson(t, op) // who never signed in with hub
		person.SignIn(op.Issuer + "/login")
		theirs := allows(person, agent, "openid upstream:hub")
		for _, tt := range []struct{ name, want string }{
			{"RFC 8693 2.1, without a provider", agent.acts(ours, "hub", "audience", "-").what() + " invalid_target"},
			{"RFC 8693 2.1, by resource", agent.acts(ours, "hub", "audience", "-", "resource", "urn:mintmark:provider:hub").what() + " ok"},
			{"a provider that there is not", agent.acts(ours, "nowhere").what() + " invalid_target"},
			{"another audience", agent.acts(ours, "hub", "audience", "https://api.example").what() + " invalid_target"},
			{"a person who has none", agent.acts(theirs, "hub").what() + " invalid_target"},
			{"RFC 8693 2.2.2, the token of another client", other.acts(ours, "hub").what() + " invalid_request"},
			{"a client that is not registered for it", none.acts(allows(ada, none, "openid upstream:hub"), "hub").what() + " invalid_target"},
			{"a person who has not allowed it", agent.acts(allows(ada, agent, "openid"), "hub").what() + " invalid_target"},
			{"more than the client is registered for", less.acts(allows(ada, less, "openid upstream:hub"), "hub").what() + " invalid_scope"},
			{"more than the person allowed there", agent.acts(ours, "hub", "scope", "admin").what() + " invalid_scope"},
			{"no token", agent.acts("nonsense", "hub").what() + " invalid_request"},
			{"RFC 8693 2.2.2, an actor", agent.acts(ours, "hub", "actor_token", ours, "actor_token_type", accessType).what() + " invalid_request"},
			{"a wrong secret", app{Client: conformance.Client{ID: agent.ID, Secret: "x"}, op: op, t: t}.acts(ours, "hub").what() + " invalid_client"},
			{"no client", post(t, op.Address+"/oauth/token", url.Values{"grant_type": {exchangeGrant}, "subject_token": {ours},
				"subject_token_type": {accessType}, "audience": {"urn:mintmark:provider:hub"}}).what() + " invalid_client"},
		} {
			if got, want, _ := strings.Cut(tt.want, " "); got != want {
				t.Errorf("%s: got %s, want %s", tt.name, got, want)
			}
		}

		_, payload := claims(t, ours)
		sub := payload["sub"].(string)
		if log := handed(t, op, sub); len(log) != 1 || log[0]["actor"] != agent.ID || log[0]["detail"] != "hub: openid repo" || log[0]["address"] != "127.0.0.1" || log[0]["request_id"] == "" {
			t.Errorf("the audit log, of one token that was handed out twice: %v", log)
		}

		// What comes back is what is good now.
		e.mu.Lock()
		e.life = 5
		e.mu.Unlock()
		ada.Visit(op.Issuer + "/logout")
		ben := conformance.NewPerson(t, "")
		ben.Visit(op.Issuer + "/login/hub") // the same person, at another browser
		first, second := agent.acts(ours, "hub"), agent.acts(ours, "hub")
		if first.what() != "ok" || second.what() != "ok" || first.str("access_token") == second.str("access_token") || e.renewed != 2 {
			t.Errorf("RFC 6749 6: %s %s, %d refreshes", first.Body, second.Body, e.renewed)
		}
		if log := handed(t, op, sub); len(log) != 3 {
			t.Errorf("the audit log, of three tokens: %v", log)
		}
		for _, secret := range []string{"their-refresh-token", `their "access" token`, `their \"access\" token`, ours} {
			if strings.Contains(op.Log(), secret) {
				t.Errorf("the log has %s", secret)
			}
		}

		// What is taken back while the provider is waited for is not handed out.
		e.mu.Lock()
		e.slow = 2 * time.Second
		e.mu.Unlock()
		late := allows(ben, agent, "openid upstream:hub")
		answered := make(chan answer)
		go func() { answered <- agent.acts(late, "hub") }()
		time.Sleep(time.Second)
		agent.revoke(late)
		if got := (<-answered).what(); got != "invalid_request" {
			t.Errorf("RFC 7009, revoked while the provider is waited for: %s", got)
		}
		e.mu.Lock()
		e.slow = 0
		e.mu.Unlock()

		// Whatever ends the authorization, the link or the provider ends it.
		op.Run("providers", "set", "hub", "--disabled")
		if got := agent.acts(ours, "hub").what(); got != "invalid_request" {
			t.Errorf("a disabled provider: %s", got)
		}
		op.Run("providers", "set", "hub", "--disabled=false")
		if got := agent.acts(ours, "hub").what(); got != "invalid_request" {
			t.Errorf("what was allowed in a session that the provider began, when it is enabled again: %s", got)
		}
		ben.Visit(op.Issuer + "/login/hub")
		ours = allows(ben, agent, "openid upstream:hub")
		if got := agent.acts(ours, "hub").what(); got != "ok" {
			t.Errorf("allowed again: %s", got)
		}
		agent.revoke(ours)
		if got := agent.acts(ours, "hub").what(); got != "invalid_request" {
			t.Errorf("RFC 7009, a revoked token: %s", got)
		}
		again := allows(ben, agent, "openid upstream:hub")
		op.Run("users", "disable", sub)
		if got := agent.acts(again, "hub").what(); got != "invalid_request" {
			t.Errorf("a disabled account: %s", got)
		}
	})
}
