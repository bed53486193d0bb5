package conformance_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"mintmark/conformance"
)

// asks sends a request to the API with a credential.
func asks(t *testing.T, op *conformance.Server, method, path, credential string, body any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, op.Address+"/api/v1"+path, strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	return do(t, r)
}

// An application that a person allowed to looks after their keys, and gives no key what it has not
// itself.
func TestAnApplicationLooksAfterAPersonsKeys(t *testing.T) {
	op := conformance.StartWith(t, "MINTMARK_KEYS_OWN_SCOPES=orders:read,orders:write", "MINTMARK_KEYS_OWN_AUDIENCE="+orders)
	shop := newApp(t, op, "web", "--scope", "keys:own", "--scope", "orders:read")
	ada, sub := newPerson(t, op)
	token := "Bearer " + shop.tokens(ada, "scope", "openid keys:own orders:read").str("access_token")

	made := asks(t, op, "POST", "/me/keys", token, map[string]any{"name": "backup", "scopes": []string{"orders:read"}, "allow": []string{"127.0.0.0/8"}})
	key, id := made.str("key"), made.str("id")
	if made.Status != 201 || made.str("owner_id") != sub || made.str("kind") != "uk" {
		t.Fatalf("%d %s", made.Status, made.Body)
	}
	events := asks(t, op, "GET", "/audit?ref="+id, "ApiKey "+adminKey(t, op), nil)
	if !strings.Contains(string(events.Body), sub) || !strings.Contains(string(events.Body), shop.ID) {
		t.Errorf("the audit log has %s", events.Body)
	}
	if list := asks(t, op, "GET", "/me/keys", token, nil); list.Status != 200 || !strings.Contains(string(list.Body), id) || strings.Contains(string(list.Body), key) {
		t.Errorf("%d %s", list.Status, list.Body)
	}
	verdict := asks(t, op, "POST", "/keys/verify", "ApiKey "+adminKey(t, op), map[string]any{"key": key, "scope": "orders:read", "audience": orders, "address": "127.0.0.1"})
	if verdict.JSON["active"] != true || verdict.str("sub") != sub {
		t.Errorf("%s", verdict.Body)
	}

	bob, _ := newPerson(t, op)
	bobs := "Bearer " + shop.tokens(bob, "scope", "openid keys:own").str("access_token")
	exchanged := heldKey{id, key}.exchanges(t, op.Issuer).str("access_token")
	forOrders := newApp(t, op, "web", "--scope", "keys:own", "--audience", orders)
	for name, got := range map[string]answer{
		"401 without anything":                 asks(t, op, "GET", "/me/keys", "", nil),
		"401 with a token for another service": asks(t, op, "GET", "/me/keys", "Bearer "+forOrders.tokens(ada, "scope", "openid keys:own").str("access_token"), nil),
		"403 without the scope":                asks(t, op, "GET", "/me/keys", "Bearer "+shop.tokens(ada, "scope", "openid").str("access_token"), nil),
		"403 with the key itself":              asks(t, op, "GET", "/me/keys", "ApiKey "+key, nil),
		"401 with a token from the key":        asks(t, op, "GET", "/me/keys", "Bearer "+exchanged, nil),
		"403 with the operator's key":          asks(t, op, "GET", "/me/keys", "ApiKey "+adminKey(t, op), nil),
		"401 with the token at the operator's": asks(t, op, "GET", "/keys", token, nil),
		"422 a scope that the token lacks":     asks(t, op, "POST", "/me/keys", token, map[string]any{"name": "x", "scopes": []string{"orders:write"}}),
		"422 a scope that nobody may give":     asks(t, op, "POST", "/me/keys", token, map[string]any{"name": "x", "scopes": []string{"keys:own"}}),
		"422 too long a life":                  asks(t, op, "POST", "/me/keys", token, map[string]any{"name": "x", "expires_at": "2199-01-01T00:00:00Z"}),
		"422 a member that is the operator's":  asks(t, op, "POST", "/me/keys", token, map[string]any{"name": "x", "audience": []string{"https://other.example"}}),
		"404 somebody else's, to replace":      asks(t, op, "POST", "/me/keys/"+id+"/rotate", bobs, map[string]any{}),
		"404 somebody else's, to revoke":       asks(t, op, "POST", "/me/keys/"+id+"/revoke", bobs, map[string]any{}),
		"404 one that isn't there":             asks(t, op, "POST", "/me/keys/00000000000/revoke", token, map[string]any{}),
	} {
		if status, _, _ := strings.Cut(name, " "); status != strconv.Itoa(got.Status) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	next := asks(t, op, "POST", "/me/keys/"+id+"/rotate", token, map[string]any{"grace_seconds": 0})
	if next.Status != 201 || next.str("replaces") != id {
		t.Fatalf("%d %s", next.Status, next.Body)
	}
	over := asks(t, op, "POST", "/me/keys/"+next.str("id")+"/revoke", token, map[string]any{"leaked": true})
	if over.Status != 200 || over.str("status") != "leaked" {
		t.Errorf("%d %s", over.Status, over.Body)
	}
	// What she takes back is over.
	op.Run("users", "disable", sub)
	if got := asks(t, op, "GET", "/me/keys", token, nil); got.Status != 401 {
		t.Errorf("of somebody who is locked out: %d %s", got.Status, got.Body)
	}
}
