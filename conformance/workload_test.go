package conformance_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/conformance"
)

// stands exchanges a token for which there is no client, with changes to the form.
func stands(t *testing.T, op *conformance.Server, token string, changes ...string) answer {
	t.Helper()
	return post(t, op.Address+"/oauth/token", with(url.Values{"grant_type": {exchangeGrant}, "subject_token": {token}, "subject_token_type": {jwtType}}, changes...))
}

// RFC 8693 §2: a program that holds no secret shows who it is by a token of where it runs, and gets what
// its API key may do.
func TestAProgramWithoutASecretHasAnAPIKey(t *testing.T) {
	story(t, func(t *testing.T, op *conformance.Server) {
		ci := newNotary(t, "https://ci.example", jose.ES256)
		robot := op.Do("services", "add", "deployer")["id"].(string)
		key := func(name string, flags ...string) string {
			return op.Do(append([]string{"keys", "add", name, "--owner", "deployer", "--scope", "deploy:write", "--scope", "deploy:read"}, flags...)...)["id"].(string)
		}
		main, pods, limited := key("ci"), key("pods", "--audience", "https://deploy.example"), key("limited", "--rate-limit", "2/h")
		far := key("far", "--allow-ip", "192.0.2.0/24")
		op.Run("providers", "add", "ci", "--kind", "issuer", "--issuer", ci.iss, "--keys-file", file(t, ci.public()), "--token-audience", meant,
			"--token-rule", main+":sub=repo:acme/app:ref:refs/heads/main,environment=production",
			"--token-rule", pods+":sub=system:serviceaccount:prod:*,reusable",
			"--token-rule", limited+":sub=limited", "--token-rule", far+":sub=far")
		job := map[string]any{"sub": "repo:acme/app:ref:refs/heads/main", "environment": "production"}
		as := func(sub string) string { return ci.says(map[string]any{"sub": sub}) }

		got := stands(t, op, ci.says(job), "scope", "deploy:write")
		if got.what() != "ok" || got.str("issued_token_type") != accessType || got.JSON["refresh_token"] != nil || got.str("scope") != "deploy:write" {
			t.Fatalf("RFC 8693 2.2.1: %d %s", got.Status, got.Body)
		}
		_, payload := claims(t, got.str("access_token"))
		if payload["sub"] != robot || payload["akid"] != main || payload["client_id"] != main || payload["aud"] != op.Issuer {
			t.Errorf("RFC 9068 2.2: %v", payload)
		}
		// The token is no longer than the one that it came from, nor for anybody for whom the key is not.
		short := stands(t, op, ci.says(map[string]any{"sub": "system:serviceaccount:prod:web", "exp": time.Now().Add(20 * time.Second).Unix()}))
		if _, payload := claims(t, short.str("access_token")); short.JSON["expires_in"].(float64) > 20 || payload["aud"] != "https://deploy.example" || payload["akid"] != pods {
			t.Errorf("%s", short.Body)
		}

		once, many := ci.says(job), as("system:serviceaccount:prod:web")
		won := 0
		for _, got := range race(func(int) answer { return stands(t, op, once) }) {
			if got.what() == "ok" {
				won++
			}
		}
		if won != 1 {
			t.Errorf("RFC 7523 3, 7: of many with one token %d got in", won)
		}
		for range 2 {
			if got := stands(t, op, many).what(); got != "ok" {
				t.Errorf("a token in a file, by a rule that says reusable: %s", got)
			}
		}

		// Another row of the same issuer, for another audience. Kubernetes names it in a list.
		op.Run("providers", "add", "ci-other", "--kind", "issuer", "--issuer", ci.iss, "--keys-file", file(t, ci.public()), "--token-audience", meant+"/other",
			"--token-rule", pods+":sub=other")
		if got := stands(t, op, ci.says(map[string]any{"sub": "other", "aud": []string{meant + "/other"}})).what(); got != "ok" {
			t.Errorf("a row for another audience, in a list: %s", got)
		}
		if got := stands(t, op, ci.says(map[string]any{"sub": "other", "aud": []string{meant}})).what(); got != "invalid_request" {
			t.Errorf("the audience of the first row with the subject of the second: %s", got)
		}
		// What is refused for the key's sake does not spend the token.
		kept := ci.says(job)
		if got := stands(t, op, kept, "scope", "admin").what() + " " + stands(t, op, kept).what(); got != "invalid_scope ok" {
			t.Errorf("a scope that the key has not, and then one that it has: %s", got)
		}

		stranger := &notary{t, ci.iss, newNotary(t, ci.iss, jose.ES256).key, ci.alg}
		with := func(name string, value any) string {
			return ci.says(map[string]any{"sub": job["sub"], "environment": job["environment"], name: value})
		}
		client := newApp(t, op, "web", "--grant", "authorization_code", "--grant", exchangeGrant, "--consent", "never")
		for _, tt := range []struct{ name, got, want string }{
			{"signed by somebody else", stands(t, op, stranger.says(job)).what(), "invalid_request"},
			{"another branch", stands(t, op, with("sub", "repo:acme/app:ref:refs/heads/main2")).what(), "invalid_request"},
			{"somebody else's fork", stands(t, op, with("sub", "repo:evil/app:ref:refs/heads/main")).what(), "invalid_request"},
			{"a sub in another case", stands(t, op, with("sub", "repo:ACME/app:ref:refs/heads/main")).what(), "invalid_request"},
			{"no environment", stands(t, op, with("environment", nil)).what(), "invalid_request"},
			{"another environment", stands(t, op, with("environment", "production ")).what(), "invalid_request"},
			{"an environment that is a list", stands(t, op, with("environment", []string{"production"})).what(), "invalid_request"},
			{"an environment that is an object", stands(t, op, with("environment", map[string]any{"production": "production"})).what(), "invalid_request"},
			{"what only begins almost like it", stands(t, op, as("system:serviceaccount:production:web")).what(), "invalid_request"},
			{"nobody", stands(t, op, as("nobody")).what(), "invalid_request"},
			{"another audience", stands(t, op, with("aud", "https://other.example")).what(), "invalid_request"},
			{"over", stands(t, op, with("exp", time.Now().Add(-time.Minute).Unix())).what(), "invalid_request"},
			{"good for a day", stands(t, op, with("exp", time.Now().Add(24*time.Hour).Unix())).what(), "invalid_request"},
			{"a scope that the key has not", stands(t, op, ci.says(job), "scope", "admin").what(), "invalid_scope"},
			{"RFC 8707 2, whom the key is not for", stands(t, op, as("system:serviceaccount:prod:web"), "resource", "https://other.example").what(), "invalid_target"},
			{"RFC 8693 2.2.2, an actor", stands(t, op, ci.says(job), "actor_token", many, "actor_token_type", jwtType).what(), "invalid_request"},
			{"another type", stands(t, op, ci.says(job), "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token").what(), "invalid_request"},
			{"RFC 7523, without a client", post(t, op.Address+"/oauth/token", url.Values{"grant_type": {bearerGrant}, "assertion": {ci.says(job)}}).what(), "invalid_client"},
			{"a key that is for another network", stands(t, op, as("far")).what(), "unauthorized_client"},
			// Of an issuer whose customers choose the audience, anybody would have an account here.
			{"a client for a person", client.token(url.Values{"grant_type": {exchangeGrant}, "subject_token": {ci.says(job)}, "subject_token_type": {jwtType}}).what(), "invalid_request"},
			{"the key's limit, once", stands(t, op, as("limited")).what(), "ok"},
			{"twice", stands(t, op, as("limited")).what(), "ok"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
			}
		}
		if got := stands(t, op, as("limited")); got.Status != 429 || got.Header.Get("Retry-After") == "" {
			t.Errorf("the third time: %d %s", got.Status, got.Body)
		}

		// Whoever says which tokens are taken has the keys: nobody lends what they could not make, or what is a person's.
		strong := op.Do("keys", "add", "strong", "--owner", "deployer", "--scope", "keys:verify")["id"].(string)
		mine := op.Do("keys", "add", "mine", "--owner", op.AddPerson("ada@example.com"))["id"].(string)
		weak := file(t, []byte(op.Do("keys", "add", "weak", "--scope", "providers:write", "--scope", "providers:read", "--scope", "keys:write")["key"].(string)))
		none := file(t, []byte(op.Do("keys", "add", "none", "--scope", "providers:write", "--scope", "providers:read")["key"].(string)))
		if said := refusedBy(t, op, "providers", "set", "ci", "--token-rule", main+":sub=x", "--token-file", none); !strings.Contains(said, "keys:write") {
			t.Errorf("a key that makes none: %s", said)
		}
		if said := refusedBy(t, op, "providers", "set", "ci", "--token-rule", "", "--token-file", none); !strings.Contains(said, "keys:write") {
			t.Errorf("a row for programs becomes one for people: %s", said)
		}
		op.Run("providers", "set", "ci", "--disabled", "--token-file", none)
		if said := refusedBy(t, op, "providers", "set", "ci", "--keys-file", file(t, ci.public()), "--disabled", "--jwks-url", "https://evil.example/keys", "--token-file", none); !strings.Contains(said, "keys:write") {
			t.Errorf("other keys while the row is disabled: %s", said)
		}
		if said := refusedBy(t, op, "providers", "set", "ci", "--disabled=false", "--token-file", none); !strings.Contains(said, "keys:write") {
			t.Errorf("enabling it: %s", said)
		}
		op.Run("providers", "set", "ci", "--disabled=false")
		if said := refusedBy(t, op, "providers", "add", "aaa", "--kind", "issuer", "--issuer", ci.iss, "--keys-file", file(t, ci.public()), "--token-audience", meant, "--token-file", none); !strings.Contains(said, "would be of two") {
			t.Errorf("a second row for the same tokens: %s", said)
		}
		for _, tt := range []struct{ rule, want string }{
			{strong + ":sub=x", "keys:verify"},
			{mine + ":sub=x", "no service account"},
			{"0Ab3dE6gH9k:sub=x", "no service account"},
		} {
			if said := refusedBy(t, op, "providers", "set", "ci", "--token-rule", tt.rule, "--token-file", weak); !strings.Contains(said, tt.want) {
				t.Errorf("%s: %s", tt.rule, said)
			}
		}
		op.Run("providers", "set", "ci", "--token-rule", strong+":sub=x", "--token-rule", main+":sub=repo:acme/app:ref:refs/heads/main",
			"--token-rule", pods+":sub=system:serviceaccount:prod:*,reusable")
		if said := refusedBy(t, op, "providers", "set", "ci", "--keys-file", file(t, stranger.public()), "--token-file", weak); !strings.Contains(said, "keys:verify") {
			t.Errorf("other keys in place of the issuer's: %s", said)
		}

		// What was shown is written down, and what is a secret is not.
		if log := op.Log(); !strings.Contains(log, `"subject":"repo:acme/app:ref:refs/heads/main"`) || strings.Contains(log, many) {
			t.Error("the log does not say who it was, or has a token")
		}
		access := got.str("access_token")
		if about := client.introspect(access); about.JSON["active"] != false {
			t.Errorf("a client that it is not for: %s", about.Body)
		}
		info := func() int {
			r, err := http.NewRequest("GET", op.Address+"/auth/verify", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+access)
			return do(t, r).Status
		}
		if got := info(); got != 200 {
			t.Errorf("the token at forward auth: %d", got)
		}
		op.Run("keys", "revoke", main, "--wait")
		if got := info(); got != 401 {
			t.Errorf("the token of a revoked key: %d", got)
		}
		if got := stands(t, op, ci.says(job)).what(); got != "invalid_request" {
			t.Errorf("a revoked key: %s", got)
		}
		op.Run("services", "disable", "deployer")
		if got := stands(t, op, many).what(); got != "invalid_request" {
			t.Errorf("a disabled service account: %s", got)
		}
		op.Run("services", "enable", "deployer")
		op.Run("providers", "set", "ci", "--disabled")
		if got := stands(t, op, many).what(); got != "invalid_request" {
			t.Errorf("a disabled issuer: %s", got)
		}
	})
}

// A rule that is everybody's is refused in words.
func TestATokenRuleSaysWho(t *testing.T) {
	op := conformance.Start(t, "")
	ci := newNotary(t, "https://ci.example", jose.ES256)
	for _, tt := range []struct{ rule, want string }{
		{"0Ab3dE6gH9k:aud=" + meant, "says who it is"},
		{"0Ab3dE6gH9k:iss=https://ci.example,aud=x,exp=1", "says who it is"},
		{"0Ab3dE6gH9k:sub=*", "that is everybody"},
		{"0Ab3dE6gH9k:sub=", "that is everybody"},
		{"0Ab3dE6gH9k:sub=repo:*:main", "at the end"},
		{"0Ab3dE6gH9k:sub|aud=x", "no text"},
		{"deployer:sub=x", "the id of an API key"},
		{"0Ab3dE6gH9k:reusable", "says who it is"},
		{"0Ab3dE6gH9k", "KEY:CLAIM=VALUE"},
	} {
		said := refusedBy(t, op, "providers", "add", "ci", "--kind", "issuer", "--issuer", ci.iss, "--keys-file", file(t, ci.public()), "--token-audience", meant, "--token-rule", tt.rule)
		if !strings.Contains(said, tt.want) {
			t.Errorf("%s: %s", tt.rule, said)
		}
	}
	if said := refusedBy(t, op, "providers", "add", "ci", "--kind", "issuer", "--issuer", ci.iss, "--keys-file", file(t, ci.public()), "--token-rule", "0Ab3dE6gH9k:sub=x"); !strings.Contains(said, "audience") {
		t.Error(said)
	}
}
