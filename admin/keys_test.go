package admin_test

import (
	"strings"
	"testing"

	"mintmark/apikeys"
)

// A service's key from its making to its end, over HTTP.
func TestTheLifeOfAnAPIKey(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		service := op.does("POST", "/services", map[string]any{"name": "deployer"})["id"]
		made := op.does("POST", "/keys", map[string]any{
			"name": "ci", "owner_type": "service", "owner_id": service, "scopes": []string{"deploy:write", "users:read"},
			"audience": []string{"https://api.example"}, "rate_limits": []string{"2/h"},
		})
		id, key := made["id"].(string), made["key"].(string)
		verify := func(scope, audience string) map[string]any {
			t.Helper()
			return op.does("POST", "/keys/verify", map[string]any{"key": key, "scope": scope, "audience": audience})
		}
		if v := verify("deploy:write", "https://api.example"); v["active"] != true || v["id"] != id || v["sub"] != service || v["scope"] != "deploy:write users:read" {
			t.Errorf("%v", v)
		}
		if v := verify("deploy:read", ""); v["active"] != false || v["code"] != "insufficient_scope" || v["missing_scope"] != "deploy:read" || v["sub"] != nil {
			t.Errorf("%v", v)
		}
		if v := verify("", "https://other.example"); v["code"] != "wrong_audience" {
			t.Errorf("%v", v)
		}
		// Its scope is called like one of ours, and is none.
		a := op.refuses(403, "insufficient_scope", "GET", "/users", nil, "Authorization", "ApiKey "+key)
		if a.header.Get("RateLimit-Policy") != `"default";q=2;w=3600` {
			t.Errorf("RateLimit-Policy: %s", a.header.Get("RateLimit-Policy"))
		}
		if a := op.refuses(429, "rate_limited", "GET", "/info", nil, "Authorization", "ApiKey "+key); a.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		op.does("PATCH", "/keys/"+id, map[string]any{"rate_limits": []string{}, "name": "renamed"})
		if found := op.does("POST", "/keys/lookup", map[string]any{"found": key}); found["id"] != id || found["name"] != "renamed" || found["key"] != nil {
			t.Errorf("found %v", found)
		}
		for _, step := range []struct {
			method, path string
			active       bool
		}{
			{"POST", "/keys/" + id + "/disable", false}, {"POST", "/keys/" + id + "/enable", true},
			{"POST", "/services/" + service.(string) + "/disable", false}, {"POST", "/services/" + service.(string) + "/enable", true},
			{"POST", "/keys/" + id + "/revoke", false},
		} {
			op.does(step.method, step.path, nil)
			v := verify("", "")
			if v["active"] != step.active || !step.active && v["code"] != "invalid_key" {
				t.Errorf("after %s: %v", step.path, v)
			}
		}
		op.refuses(409, "conflict", "POST", "/keys/"+id+"/rotate", nil)
		op.refuses(404, "not_found", "GET", "/keys/nothing", nil)
		batch := op.does("POST", "/keys/verify-batch", map[string]any{"keys": []any{map[string]any{"key": key}, map[string]any{"key": op.key}}})["items"].([]any)
		if batch[0].(map[string]any)["active"] != false || batch[1].(map[string]any)["active"] != true {
			t.Errorf("the batch is %v", batch)
		}
		events := op.does("GET", "/audit?ref="+id, nil)["items"].([]any)
		if newest := events[0].(map[string]any); len(events) != 5 || newest["action"] != "key.revoke" || newest["actor"] != idOf(op.key) || newest["request_id"] != "req_1" {
			t.Errorf("the audit log has %v", events)
		}
		if strings.Contains(op.log.String(), key) || strings.Contains(op.log.String(), op.key) {
			t.Error("the log tells a key")
		}
	})
}

// A key of the instance opens the admin API and nothing else: no service takes it for one of its
// own keys, whatever its scopes are called.
func TestNoServiceIsToldOfAKeyOfTheInstance(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		service := op.does("POST", "/services", map[string]any{"name": "docs"})["id"]
		mine := op.does("POST", "/keys", map[string]any{"name": "asks", "owner_type": "service", "owner_id": service, "scopes": []string{"keys:verify"}})["key"].(string)
		body := `{"key":"` + op.key + `"}`
		want := `{"active":false,"code":"wrong_audience","cache_for":5}`
		for path, body := range map[string]string{"/keys/verify": body, "/keys/verify?": body, "/keys/verify-batch": `{"keys":[` + body + `]}`} {
			a := op.ask("POST", path, body, "Authorization", "ApiKey "+mine)
			if a.status != 200 || !strings.Contains(a.text, want) {
				t.Errorf("%s: %d %s", path, a.status, a.text)
			}
		}
		if a := op.ask("POST", "/keys/verify", body, "Authorization", "ApiKey "+mine, "Content-Type", "application/json;charset=utf-8"); !strings.Contains(a.text, want) {
			t.Errorf("the long way: %d %s", a.status, a.text)
		}
		if v := op.does("POST", "/keys/verify", body); v["active"] != true {
			t.Errorf("the operator is told %v", v)
		}
	})
}

// Nobody gives a key of the instance more than they have.
func TestAKeyMakesNoStrongerKey(t *testing.T) {
	op := onSQLite(t)
	strong := op.does("POST", "/keys", map[string]any{"name": "strong", "scopes": []string{"users:write"}})["id"].(string)
	op.key = op.makeKey(apikeys.New{Scopes: []string{"keys:write", "keys:read"}})
	op.refuses(403, "insufficient_scope", "POST", "/keys", map[string]any{"name": "x", "scopes": []string{"users:write"}})
	op.refuses(403, "insufficient_scope", "POST", "/keys/"+strong+"/rotate", nil)
	weak := op.does("POST", "/keys", map[string]any{"name": "weak", "scopes": []string{"keys:read"}})["id"].(string)
	op.refuses(403, "insufficient_scope", "PATCH", "/keys/"+weak, map[string]any{"scopes": []string{"users:write"}})
	// Nor do they take off a stronger key what holds it.
	op.refuses(403, "insufficient_scope", "PATCH", "/keys/"+strong, map[string]any{"allow": []string{}})
	// Nor do they end it.
	for _, what := range []string{"disable", "enable", "revoke"} {
		op.refuses(403, "insufficient_scope", "POST", "/keys/"+strong+"/"+what, nil)
	}
	op.does("POST", "/keys/"+weak+"/revoke", nil)
}

// The key of a service may ask about other keys, which is a right of ours like the others.
func TestAKeyGivesAServiceNoRightThatItLacks(t *testing.T) {
	op := onSQLite(t)
	service := op.does("POST", "/services", map[string]any{"name": "gateway"})["id"]
	asks := map[string]any{"name": "x", "owner_type": "service", "owner_id": service, "scopes": []string{"keys:verify"}}
	strong := op.does("POST", "/keys", asks)["id"].(string)
	op.key = op.makeKey(apikeys.New{Scopes: []string{"keys:write"}})
	op.refuses(403, "insufficient_scope", "POST", "/keys", asks)
	op.refuses(403, "insufficient_scope", "POST", "/keys/"+strong+"/rotate", nil)
	asks["scopes"] = []string{"users:write"} // which is none of ours here
	weak := op.does("POST", "/keys", asks)["id"].(string)
	op.refuses(403, "insufficient_scope", "PATCH", "/keys/"+weak, map[string]any{"scopes": []string{"keys:verify"}})
}

// There are moments that are taken for none, and moments that JSON can't say.
func TestNoDateMakesAKeyOfTheAPIEternal(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		id := op.does("POST", "/keys", map[string]any{"name": "x"})["id"].(string)
		for _, at := range []string{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0000001Z", "0000-01-01T00:00:00+23:00"} {
			op.refuses(422, "invalid", "PATCH", "/keys/"+id, map[string]any{"expires_at": at})
			if a := op.ask("POST", "/keys", map[string]any{"name": "x", "expires_at": at}); a.status < 300 && a.body["expires_at"] == nil {
				t.Errorf("a key that expires at %s does not expire", at)
			}
		}
		for _, at := range []string{"0000-01-01T00:00:00+23:00", "1500-01-01T00:00:00Z"} {
			op.refuses(422, "invalid", "POST", "/keys", map[string]any{"name": "x", "not_before": at})
		}
		op.items("/keys", "2")
	})
}

// A key in an address is in logs that we don't know of: whoever sent it there, it is over.
func TestAKeyInTheAddressIsRefusedAndRevoked(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		for _, where := range []string{"/users?key=KEY", "/users?%6Bey=%6DKEY", "/users?key=a&key=KEY;b", "/openapi.json?KEY", "/nowhere?a=KEY", "/keys/KEY", "/keys/x/%6DKEY"} {
			for _, n := range []apikeys.New{{}, {Allow: []string{"192.0.2.1"}}} {
				key := op.makeKey(n)
				shown := strings.NewReplacer("%6DKEY", "%6D"+key[1:], "KEY", key).Replace(where)
				if a := op.refuses(400, "bad_request", "GET", shown, nil, "Authorization", ""); strings.Contains(a.text, key) {
					t.Errorf("%s: the answer repeats the key", where)
				}
				if k := op.does("GET", "/keys/"+idOf(key), nil); k["status"] != "leaked" {
					t.Errorf("%s: the key is %s", where, k["status"])
				}
				events := op.does("GET", "/audit?ref="+idOf(key), nil)["items"].([]any)
				if newest := events[0].(map[string]any); newest["action"] != "key.leak" || newest["actor"] != "server" {
					t.Errorf("%s: the audit log has %v", where, newest)
				}
				if strings.Contains(op.log.String(), key) {
					t.Errorf("%s: the log tells the key", where)
				}
			}
		}
		// Who only knows the id of a key ends nothing with it.
		good := op.makeKey(apikeys.New{})
		forged := good[:len(good)-1] + "x"
		if forged == good {
			forged = good[:len(good)-1] + "y"
		}
		op.refuses(400, "bad_request", "GET", "/users?key="+forged, nil)
		if k := op.does("GET", "/keys/"+idOf(good), nil); k["status"] != "active" {
			t.Errorf("a forged key made the good one %s", k["status"])
		}
	})
}
