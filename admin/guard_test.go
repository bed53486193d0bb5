package admin_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/admin"
	"mintmark/apikeys"
	"mintmark/internal/secret"
)

// TestWhoMayNotPass is made from the table of routes: whatever is added to it, is kept shut.
func TestWhoMayNotPass(t *testing.T) {
	op := onSQLite(t)
	all := apikeys.AdminScopes()
	expired := op.makeKey(apikeys.New{Scopes: all, At: time.Now().Add(-2 * time.Hour), ExpiresAt: time.Now().Add(-time.Hour)})
	revoked := op.makeKey(apikeys.New{Scopes: all})
	must(t, op.apiKeys.Revoke(context.Background(), idOf(revoked), "", false, apikeys.By{}))
	forged := secret.NewMint([32]byte{1}).Issue(secret.KindOrganizationKey, idOf(op.key)).Reveal()
	service, err := op.apiKeys.AddService(context.Background(), "worker", "", apikeys.By{})
	must(t, err)
	someoneElses := op.makeKey(apikeys.New{Kind: secret.KindServiceKey, OwnerType: "service", OwnerID: service.ID, Scopes: all})
	must(t, op.apiKeys.RemoveService(context.Background(), service.ID, apikeys.By{}))

	for _, route := range admin.Routes() {
		path := strings.TrimPrefix(fill(route.Path), "/api/v1")
		name := route.Method + " " + path
		// A body that can't be decoded: whoever may not pass does not learn of it.
		const junk = `{"not json`
		for who, header := range map[string]string{
			"nobody":                      "",
			"an empty key":                "ApiKey ",
			"another scheme":              "Basic " + op.key,
			"only a scheme":               "ApiKey",
			"a key with a space":          "ApiKey " + op.key + " x",
			"junk":                        "ApiKey mm_ok_junk",
			"a forged key":                "ApiKey " + forged,
			"an expired key":              "ApiKey " + expired,
			"a revoked key":               "ApiKey " + revoked,
			"a service without its owner": "Bearer " + someoneElses,
		} {
			a := op.refuses(401, "unauthenticated", route.Method, path, junk, "Authorization", header)
			if challenge := a.header.Values("WWW-Authenticate"); len(challenge) != 2 {
				t.Errorf("%s, %s: no challenge: %v", name, who, challenge)
			}
		}
		op.refuses(400, "bad_request", route.Method, path, junk, "Authorization", "ApiKey "+op.key, "Authorization", "ApiKey "+op.key)

		if route.Scope == "" {
			if route.Method != "GET" || route.Path != "/api/v1/info" {
				t.Errorf("%s needs no scope", name)
			}
			continue
		}
		if route.Scope == apikeys.ScopeOwn {
			// What people do for themselves, no key does.
			op.refuses(403, "insufficient_scope", route.Method, path, junk)
			continue
		}
		if !slices.Contains(all, route.Scope) {
			t.Errorf("%s needs %s, which no key can have", name, route.Scope)
		}
		reads := route.Method == "GET" || route.Path == "/api/v1/keys/lookup"
		if want := map[bool]string{true: "read", false: "write"}[reads]; !strings.HasSuffix(route.Scope, ":"+want) && !apikeys.ForServices(route.Scope) {
			t.Errorf("%s needs only %s", name, route.Scope)
		}
		others := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == route.Scope })
		a := op.refuses(403, "insufficient_scope", route.Method, path, junk, "Authorization", "ApiKey "+op.makeKey(apikeys.New{Scopes: others}))
		if !strings.Contains(a.text, route.Scope) {
			t.Errorf("%s does not say which scope is needed: %s", name, a.text)
		}
		alone := op.makeKey(apikeys.New{Scopes: []string{route.Scope}})
		if a := op.ask(route.Method, path, nil, "Authorization", "bearer "+alone); a.status == 401 || a.status == 403 {
			t.Errorf("%s refuses a key with %s: %s", name, route.Scope, a.text)
		}
	}
}

func TestAnyGoodKeyMayAskWhichServerThisIs(t *testing.T) {
	op := onSQLite(t)
	op.key = op.makeKey(apikeys.New{})
	info := op.does("GET", "/info", nil)
	if info["issuer"] != "https://id.example" || info["version"] != "1.2.3" {
		t.Errorf("info is %v", info)
	}
	database, _ := info["database"].(map[string]any)
	if database["engine"] != "sqlite" || database["durable"] != true || database["problems"] == nil {
		t.Errorf("the database is %v", database)
	}
}

func TestChangesAreLoggedWithTheKeysIDAndWithoutSecrets(t *testing.T) {
	op := onSQLite(t)
	op.does("POST", "/users", map[string]any{"email": "ada@example.com", "password": "correct horse battery staple"})
	log := op.log.String()
	if !strings.Contains(log, "operation=add-user") || !strings.Contains(log, "key="+idOf(op.key)) {
		t.Errorf("the log does not tell who did what: %s", log)
	}
	if strings.Contains(log, op.key) || strings.Contains(log, "horse") || strings.Contains(log, "ada@") {
		t.Errorf("the log tells a secret: %s", log)
	}
}

// idOf returns the public id inside a key.
func idOf(key string) string { return key[len("mm_ok_") : len("mm_ok_")+11] }

// fill puts something that does not exist where a path names something.
func fill(path string) string {
	for {
		from, rest, ok := strings.Cut(path, "{")
		if !ok {
			return path
		}
		_, to, _ := strings.Cut(rest, "}")
		path = from + "nothing" + to
	}
}
