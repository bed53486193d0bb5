package admin_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestTheLastAdministratorStays(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		id := op.does("POST", "/users", map[string]any{"email": "ada@example.com", "role": "admin"})["id"].(string)
		for _, way := range []string{"POST /disable", "DELETE ", "PATCH "} {
			method, path, _ := strings.Cut(way, " ")
			var body any
			if method == "PATCH" {
				body = map[string]any{"role": ""}
			}
			a := op.refuses(409, "last_admin", method, "/users/"+id+path, body)
			if !strings.Contains(a.text, "Make somebody else one first") {
				t.Errorf("%s: the answer does not say what to do: %s", way, a.text)
			}
		}
		op.does("PATCH", "/users/"+id, map[string]any{"name": "Ada", "role": "admin"})
		op.does("POST", "/users", map[string]any{"email": "grace@example.com", "role": "admin"})
		op.does("PATCH", "/users/"+id, map[string]any{"role": ""})
	})
}

// RFC 9110 13.1.1: with If-Match a change is made to what was read, or not at all.
func TestIfMatch(t *testing.T) {
	op := onSQLite(t)
	user := "/users/" + op.addUser("ada@example.com")
	client := "/clients/" + op.does("POST", "/clients", map[string]any{"client_name": "app", "client_type": "service"})["client_id"].(string)
	for path, name := range map[string]string{user: "name", client: "client_name"} {
		first := op.ask("GET", path, nil).header.Get("ETag")
		if len(first) < 10 || first[0] != '"' {
			t.Fatalf("%s: ETag is %q", path, first)
		}
		if again := op.ask("GET", path, nil).header.Get("ETag"); again != first {
			t.Errorf("%s: the ETag changes by itself: %s, %s", path, first, again)
		}
		set := op.ask("PATCH", path, map[string]any{name: "One"}, "If-Match", `"other", `+first)
		if next := set.header.Get("ETag"); set.status != 200 || next == first || next != op.ask("GET", path, nil).header.Get("ETag") {
			t.Errorf("%s: %d %s, and the ETag is %q", path, set.status, set.text, next)
		}
		for _, tag := range []string{first, `W/` + set.header.Get("ETag"), `"x"`, strings.Trim(set.header.Get("ETag"), `"`)} {
			op.refuses(412, "changed", "PATCH", path, map[string]any{name: "Two"}, "If-Match", tag)
		}
		if a := op.ask("PATCH", path, map[string]any{name: "Three"}, "If-Match", "*"); a.status != 200 {
			t.Errorf("%s: RFC 9110 13.1.1, *: %d", path, a.status)
		}
		before := op.ask("GET", path, nil).header.Get("ETag")
		op.does("POST", path+"/disable", nil)
		op.refuses(412, "changed", "PATCH", path, map[string]any{name: "Four"}, "If-Match", before)
	}
}

// Changes of different members at the same moment are all made.
func TestNoChangeIsLost(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		user := "/users/" + op.addUser("ada@example.com")
		client := "/clients/" + op.does("POST", "/clients", map[string]any{"client_name": "app", "client_type": "service"})["client_id"].(string)
		claims := []string{"nickname", "given_name", "family_name", "website"}
		metadata := []string{"logo_uri", "client_uri", "policy_uri", "tos_uri"}
		var wg sync.WaitGroup
		for i := range 4 {
			value := fmt.Sprintf("https://example.com/%d", i)
			wg.Go(func() {
				if a := op.ask("PATCH", user, map[string]any{"claims": map[string]any{claims[i]: value}}); a.status != 200 {
					t.Errorf("%d %s", a.status, a.text)
				}
			})
			wg.Go(func() {
				if a := op.ask("PATCH", client, map[string]any{metadata[i]: value}); a.status != 200 {
					t.Errorf("%d %s", a.status, a.text)
				}
			})
		}
		wg.Wait()
		if got := op.does("GET", user, nil)["claims"].(map[string]any); len(got) != 4 {
			t.Errorf("of four claims there are %v", got)
		}
		got := op.does("GET", client, nil)
		for _, name := range metadata {
			if got[name] == nil {
				t.Errorf("%s is missing: %v", name, got)
			}
		}
	})
}
