package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAPersonFromBeginningToEnd(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		added := op.does("POST", "/users", map[string]any{
			"email": "Ada@Example.com", "name": "Ada Lovelace", "email_verified": true, "role": "admin",
			"password": "correct horse battery staple",
			"claims":   map[string]any{"given_name": "Ada", "nickname": "ada", "address": map[string]any{"country": "UK"}},
		})
		id := added["id"].(string)
		if !strings.HasPrefix(id, "usr_") {
			t.Errorf("the id is %q", id)
		}
		got := op.does("GET", "/users/"+id, nil)
		if diff := cmp.Diff(added, got); diff != "" {
			t.Errorf("what was added is not what is there: %s", diff)
		}
		for name, want := range map[string]any{
			"email": "Ada@Example.com", "name": "Ada Lovelace", "email_verified": true, "role": "admin", "has_password": true, "disabled": false,
			"claims": map[string]any{"given_name": "Ada", "nickname": "ada", "address": map[string]any{"country": "UK"}},
		} {
			if !cmp.Equal(got[name], want) {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		for _, name := range []string{"created_at", "updated_at"} {
			if at, err := time.Parse(time.RFC3339, got[name].(string)); err != nil || time.Since(at) > time.Minute || at.Location() != time.UTC {
				t.Errorf("%s is %v", name, got[name])
			}
		}
		if len(got) != 10 {
			t.Errorf("a person has other members than these ten: %v", got)
		}

		set := op.does("PATCH", "/users/"+id, map[string]any{"name": "Countess of Lovelace", "claims": map[string]any{"nickname": nil, "zoneinfo": "Europe/London"}})
		if set["name"] != "Countess of Lovelace" || set["email"] != "Ada@Example.com" || set["role"] != "admin" ||
			!cmp.Equal(set["claims"], map[string]any{"given_name": "Ada", "zoneinfo": "Europe/London", "address": map[string]any{"country": "UK"}}) {
			t.Errorf("after the change: %v", set)
		}
		op.does("POST", "/users", map[string]any{"email": "grace@example.com", "role": "admin"})
		if set := op.does("PATCH", "/users/"+id, map[string]any{"email": "ada@new.example", "role": ""}); set["email_verified"] != false || set["role"] != nil {
			t.Errorf("a new address is not verified: %v", set)
		}

		session := op.signsIn(id)
		op.does("PUT", "/users/"+id+"/password", map[string]any{"password": "another horse in the stable"})
		if left, _ := op.items("/users/"+id+"/sessions", "10"); len(left) != 0 {
			t.Errorf("whoever knew the old password is still signed in: %v", left)
		}
		op.refuses(404, "not_found", "GET", "/sessions/"+session+"/x", nil)

		op.signsIn(id)
		if off := op.does("POST", "/users/"+id+"/disable", nil); off["disabled"] != true || off["disabled_at"] == nil {
			t.Errorf("disabled: %v", off)
		}
		if left, _ := op.items("/sessions", "10"); len(left) != 0 {
			t.Errorf("who is locked out is still signed in: %v", left)
		}
		if on := op.does("POST", "/users/"+id+"/enable", nil); on["disabled"] != false || on["disabled_at"] != nil {
			t.Errorf("enabled: %v", on)
		}
		if a := op.ask("DELETE", "/users/"+id, nil); a.status != 204 || a.text != "" {
			t.Errorf("removed: %d %s", a.status, a.text)
		}
		op.refuses(404, "not_found", "GET", "/users/"+id, nil)
		op.refuses(404, "not_found", "DELETE", "/users/"+id, nil)
	})
}

func TestAnImportedPasswordIsRememberedAsItIs(t *testing.T) {
	op := onSQLite(t)
	const bcrypt = "$2y$10$abcdefghijklmnopqrstuuWjEFdJgC9ohS5V8zr6yQ1FJ7bcZb4uW"
	added := op.does("POST", "/users", map[string]any{"email": "ada@example.com", "password_hash": bcrypt})
	if added["has_password"] != true {
		t.Errorf("no password: %v", added)
	}
	stored, err := op.db.Accounts().Account(context.Background(), added["id"].(string))
	if err != nil || stored.PasswordHash != bcrypt {
		t.Errorf("the stored hash is %q, %v", stored.PasswordHash, err)
	}
}

func TestAPersonIsFoundByAddress(t *testing.T) {
	op := onSQLite(t)
	op.addUser("grace@example.com")
	id := op.addUser("ada@example.com")
	found := op.does("GET", "/users?email=ADA%40Example.COM", nil)["items"].([]any)
	if len(found) != 1 || found[0].(map[string]any)["id"] != id {
		t.Errorf("found %v", found)
	}
	for _, nobody := range []string{"bob%40example.com", "not-an-address"} {
		if found := op.does("GET", "/users?email="+nobody, nil)["items"].([]any); len(found) != 0 {
			t.Errorf("%s: found %v", nobody, found)
		}
	}
}

func TestPages(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		var want []string
		for i := range 7 {
			want = append(want, op.addUser(fmt.Sprintf("user%d@example.com", i)))
		}
		for limit, pages := range map[string]int{"1": 7, "3": 3, "6": 2, "7": 1, "500": 1} {
			var got []string
			all, n := op.items("/users", limit)
			for _, user := range all {
				got = append(got, user["id"].(string))
			}
			if diff := cmp.Diff(want, got); diff != "" || n != pages {
				t.Errorf("limit %s: %d pages, want %d; %s", limit, n, pages, diff)
			}
		}
		if empty := op.does("GET", "/clients", nil); !cmp.Equal(empty, map[string]any{"items": []any{}}) {
			t.Errorf("an empty list is %v", empty)
		}
		next := op.does("GET", "/users?limit=2", nil)["next"].(string)
		if strings.Contains(next, "usr_") {
			t.Errorf("the cursor %q invites guessing", next)
		}
		for _, cursor := range []string{"usr_x", want[0], next + "x", next[:len(next)-2], next + "=", "%00", "AAAA"} {
			a := op.ask("GET", "/users?after="+cursor, nil)
			if a.status != 400 || a.body["code"] != "bad_request" {
				t.Errorf("the cursor %q was taken: %d %s", cursor, a.status, a.text)
			}
		}
		for _, other := range []string{"/clients", "/sessions", "/grants", "/signing-keys"} {
			op.refuses(400, "bad_request", "GET", other+"?after="+next, nil)
		}
	})
}

func TestSessionsAndGrants(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		ada, grace := op.addUser("ada@example.com"), op.addUser("grace@example.com")
		shop := op.does("POST", "/clients", map[string]any{"client_name": "shop", "redirect_uris": []string{"https://app.example/back"}})["client_id"].(string)
		// The id of a client may hold what has a meaning in a URL.
		odd := op.does("POST", "/clients", map[string]any{"client_id": "a/b:c?d%2F", "client_name": "odd", "redirect_uris": []string{"https://app.example/back"}})["client_id"].(string)
		first, second := op.signsIn(ada), op.signsIn(ada)
		third := op.signsIn(grace)

		if all, _ := op.items("/sessions", "2"); len(all) != 3 {
			t.Errorf("sessions: %v", all)
		}
		hers, _ := op.items("/users/"+ada+"/sessions", "1")
		if len(hers) != 2 || hers[0]["id"] != first || hers[0]["user_id"] != ada || hers[0]["address"] != "192.0.2.1" || !cmp.Equal(hers[0]["amr"], []any{"pwd"}) {
			t.Errorf("Ada's sessions: %v", hers)
		}
		for _, secret := range []string{"digest", "cookie", "token"} {
			if _, ok := hers[0][secret]; ok {
				t.Errorf("a session shows its %s", secret)
			}
		}

		inFirst, inSecond := op.allows(ada, first, shop, "openid", "email"), op.allows(ada, second, odd, "openid")
		graces := op.allows(grace, third, shop, "openid")
		grants, _ := op.items("/grants", "1")
		if len(grants) != 3 {
			t.Fatalf("grants: %v", grants)
		}
		if all := op.does("GET", "/grants?user_id="+ada+"&client_id="+shop, nil)["items"].([]any); len(all) != 1 ||
			all[0].(map[string]any)["id"] != ada+":"+shop || all[0].(map[string]any)["scope"] != "openid email" {
			t.Errorf("Ada's consent for the shop: %v", all)
		}

		if a := op.ask("DELETE", "/sessions/"+first, nil); a.status != 204 {
			t.Errorf("ending a session: %d %s", a.status, a.text)
		}
		if !op.revoked(inFirst) || op.revoked(inSecond) {
			t.Error("with a session ends what began in it, and nothing else")
		}
		if a := op.ask("DELETE", "/grants/"+ada+":a%2Fb%3Ac%3Fd%252F", nil); a.status != 204 {
			t.Errorf("revoking a grant: %d %s", a.status, a.text)
		}
		if !op.revoked(inSecond) || op.revoked(graces) {
			t.Error("with a consent goes what came from it, and nothing else")
		}
		if a := op.ask("DELETE", "/users/"+grace+"/sessions", nil); a.status != 204 || !op.revoked(graces) {
			t.Errorf("signing Grace out: %d %s", a.status, a.text)
		}
		if left, _ := op.items("/sessions", "10"); len(left) != 1 || left[0]["id"] != second {
			t.Errorf("left are %v", left)
		}
	})
}
