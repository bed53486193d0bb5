package admin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mintmark/admin"
	"mintmark/issuer"
)

func TestAnApplicationFromBeginningToEnd(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		made := op.does("POST", "/clients", map[string]any{
			"client_name": "shop", "client_type": "web", "scope": "openid email orders:read",
			"redirect_uris": []string{"https://shop.example/back"}, "client_uri": "https://shop.example",
		})
		id, secret := made["client_id"].(string), made["client_secret"].(string)
		if !strings.HasPrefix(id, "cli_") || !strings.HasPrefix(secret, "mm_cs_") || made["client_secret_expires_at"] != 0.0 || made["client_id_issued_at"] == nil {
			t.Errorf("RFC 7591 §3.2.1: %v", made)
		}
		for name, want := range map[string]any{
			"client_name": "shop", "client_type": "web", "scope": "openid email orders:read", "token_endpoint_auth_method": "client_secret_basic",
			"redirect_uris": []any{"https://shop.example/back"}, "require_pkce": true, "grant_types": []any{"authorization_code", "refresh_token"},
		} {
			if !cmp.Equal(made[name], want) {
				t.Errorf("%s is %v, want %v", name, made[name], want)
			}
		}
		a := op.ask("GET", "/clients/"+id, nil)
		if strings.Contains(a.text, secret) || strings.Contains(a.text, "sha256") || a.body["client_secret"] != nil {
			t.Errorf("the secret is shown again: %s", a.text)
		}
		if list := op.ask("GET", "/clients", nil); strings.Contains(list.text, "sha256") {
			t.Errorf("the list shows secrets: %s", list.text)
		}

		// RFC 7396: null takes away, a list replaces, the rest stays.
		set := op.does("PATCH", "/clients/"+id, map[string]any{"client_uri": nil, "redirect_uris": []string{"https://beta.shop.example/back"}, "require_pkce": false})
		if set["client_uri"] != nil || set["require_pkce"] != false || set["scope"] != "openid email orders:read" ||
			!cmp.Equal(set["redirect_uris"], []any{"https://beta.shop.example/back"}) || set["created_at"] != a.body["created_at"] {
			t.Errorf("after the change: %v", set)
		}
		if set := op.does("PATCH", "/clients/"+id, map[string]any{"client_name": "Shop"}); set["require_pkce"] != false {
			t.Errorf("an exemption is forgotten by another change: %v", set)
		}
		op.refuses(422, "invalid", "PATCH", "/clients/"+id, map[string]any{"redirect_uris": []string{}})

		if off := op.does("POST", "/clients/"+id+"/disable", nil); off["disabled"] != true {
			t.Errorf("disabled: %v", off)
		}
		if on := op.does("POST", "/clients/"+id+"/enable", nil); on["disabled"] != false || len(on["secrets"].([]any)) != 1 {
			t.Errorf("enabled: %v", on)
		}
		if a := op.ask("DELETE", "/clients/"+id, nil); a.status != 204 {
			t.Errorf("removed: %d %s", a.status, a.text)
		}
		op.refuses(404, "not_found", "GET", "/clients/"+id, nil)
	})
}

func TestASecretIsReplacedWithOverlap(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		made := op.does("POST", "/clients", map[string]any{"client_name": "robot", "client_type": "service"})
		path := "/clients/" + made["client_id"].(string)
		hashes := func() (all []string) {
			c, err := op.db.Registry().Client(context.Background(), made["client_id"].(string))
			must(t, err)
			for _, s := range c.Secrets {
				all = append(all, s.Hash)
			}
			return all
		}
		first := hashes()

		second := op.does("POST", path+"/secrets", map[string]any{"overlap_seconds": 3600})
		ends, err := time.Parse(time.RFC3339, second["old_secret_expires_at"].(string))
		if err != nil || time.Until(ends) > time.Hour || time.Until(ends) < 59*time.Minute {
			t.Errorf("the old secret ends at %v", second["old_secret_expires_at"])
		}
		if second["client_secret"] == made["client_secret"] || len(hashes()) != 2 || !slices.Contains(hashes(), first[0]) {
			t.Errorf("both secrets are good for a while: %v", hashes())
		}
		if shown := op.does("GET", path, nil)["secrets"].([]any); len(shown) != 2 {
			t.Errorf("shown are %v", shown)
		}

		// A second replacement ends the one before it no later, and the oldest now.
		op.does("POST", path+"/secrets", map[string]any{"overlap_seconds": 60})
		if now := hashes(); len(now) != 2 || slices.Contains(now, first[0]) {
			t.Errorf("more than two secrets are good: %v", now)
		}
		last := op.does("POST", path+"/secrets", nil)
		if last["old_secret_expires_at"] != nil || len(hashes()) != 1 {
			t.Errorf("without an overlap the old ones end now: %v %v", last, hashes())
		}
		op.refuses(422, "invalid", "POST", path+"/secrets", map[string]any{"client_secret": "with a space in it"})
		chosen := op.does("POST", path+"/secrets", map[string]any{"client_secret": "correct-horse-battery"})
		if chosen["client_secret"] != "correct-horse-battery" || !strings.HasPrefix(hashes()[0], "$argon2id$") {
			t.Errorf("what a person chose is hashed slowly: %v %v", chosen, hashes())
		}
	})
}

func TestSecretsAreReplacedOneAfterTheOther(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		id := op.does("POST", "/clients", map[string]any{"client_name": "robot", "client_type": "service"})["client_id"].(string)
		var all sync.WaitGroup
		var mu sync.Mutex
		var made []string
		for range 16 {
			all.Go(func() {
				a := op.ask("POST", "/clients/"+id+"/secrets", map[string]any{"overlap_seconds": 3600})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.status == 201:
					made = append(made, a.body["client_secret"].(string))
				case a.status != 409 || a.body["code"] != "conflict":
					t.Errorf("%d %s", a.status, a.text)
				}
			})
		}
		all.Wait()
		c, err := op.db.Registry().Client(context.Background(), id)
		must(t, err)
		known := 0
		for _, secret := range made {
			sum := sha256.Sum256([]byte(secret))
			if slices.ContainsFunc(c.Secrets, func(s issuer.ClientSecret) bool { return s.Hash == "sha256:"+hex.EncodeToString(sum[:]) }) {
				known++
			}
		}
		// One that is remembered may be the first, which nobody of these was given.
		if len(made) == 0 || len(c.Secrets) != 2 || known != min(2, len(made)) {
			t.Errorf("%d were given out, %d of them are among the %d that are good", len(made), known, len(c.Secrets))
		}
	})
}

func TestAClientWithoutSecretsGetsNone(t *testing.T) {
	op := onSQLite(t)
	board := op.does("POST", "/clients", map[string]any{"client_name": "board", "client_type": "spa", "redirect_uris": []string{"https://board.example/back"}})
	if board["client_secret"] != nil || board["client_secret_expires_at"] != nil || board["token_endpoint_auth_method"] != "none" {
		t.Errorf("a public client: %v", board)
	}
	op.refuses(409, "conflict", "POST", "/clients/"+board["client_id"].(string)+"/secrets", nil)
}

func TestAChosenIDAndSecret(t *testing.T) {
	op := onSQLite(t)
	const secret = "0123456789abcdef0123456789abcdef"
	made := op.does("POST", "/clients", map[string]any{"client_id": "robot", "client_secret": secret, "client_name": "robot", "client_type": "service"})
	if made["client_id"] != "robot" || made["client_secret"] != secret {
		t.Errorf("made: %v", made)
	}
	c, err := op.db.Registry().Client(context.Background(), "robot")
	if err != nil || len(c.Secrets) != 1 || !strings.HasPrefix(c.Secrets[0].Hash, "sha256:") || strings.Contains(c.Secrets[0].Hash, secret) {
		t.Errorf("stored: %v %v", c.Secrets, err)
	}
}

// TestMetadataHasEveryMember compares the description of a client with the client.
func TestMetadataHasEveryMember(t *testing.T) {
	described := append(admin.Members(reflect.TypeFor[admin.Metadata]()), "client_id")
	read := append(admin.Members(reflect.TypeFor[issuer.Client]()), "scope")
	slices.Sort(described)
	slices.Sort(read)
	if diff := cmp.Diff(read, described); diff != "" {
		t.Errorf("the API describes a client otherwise than it is: %s", diff)
	}
}

func TestSigningKeys(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		before, pages := op.items("/signing-keys", "1")
		if len(before) != 2 || pages != 2 || before[0]["state"] != "active" || before[1]["state"] != "active" || before[0]["alg"] == before[1]["alg"] {
			t.Fatalf("at first each ring has one key: %v", before)
		}
		for _, key := range before {
			for name := range key {
				if !slices.Contains([]string{"kid", "alg", "state", "generation", "created_at", "signs_at", "retires_at", "gone_at", "revoked_at"}, name) {
					t.Errorf("a key shows its %s", name)
				}
			}
		}
		next := op.does("POST", "/signing-keys/rotate", nil)["items"].([]any)
		if len(next) != 2 || next[0].(map[string]any)["state"] != "published" || next[1].(map[string]any)["state"] != "published" {
			t.Errorf("the next keys are announced: %v", next)
		}
		again := op.does("POST", "/signing-keys/rotate", map[string]any{})["items"].([]any)
		if !cmp.Equal(again, next) {
			t.Errorf("asked again, the next keys are others: %v", again)
		}
		now := op.does("POST", "/signing-keys/rotate", map[string]any{"alg": "ES256", "immediately": true})["items"].([]any)
		if len(now) != 1 || now[0].(map[string]any)["state"] != "active" || now[0].(map[string]any)["alg"] != "ES256" {
			t.Fatalf("at once: %v", now)
		}
		kid := now[0].(map[string]any)["kid"].(string)
		if a := op.ask("POST", "/signing-keys/"+kid+"/revoke", nil); a.status != 204 {
			t.Errorf("revoked: %d %s", a.status, a.text)
		}
		all, _ := op.items("/signing-keys", "100")
		active := 0
		for _, key := range all {
			if key["kid"] == kid && key["state"] != "revoked" {
				t.Errorf("the revoked key is %v", key)
			}
			if key["state"] == "active" {
				active++
			}
		}
		if active != 2 {
			t.Errorf("%d keys sign after one was revoked: %v", active, all)
		}
	})
}
