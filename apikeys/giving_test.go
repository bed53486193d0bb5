package apikeys_test

import (
	"errors"
	"testing"
	"time"

	"mintmark/apikeys"
)

// A key never gives what it has not itself: each right, by each way to give it.
func TestAKeyGivesOnlyWhatItHas(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		const day = 24 * time.Hour
		giver, _ := made(t, r, apikeys.New{Name: "giver", Scopes: []string{"keys:write", "keys:verify"}, Audience: []string{"https://a.example"},
			Allow: []string{"10.0.0.0/8", "2001:db8::/32"}, Deny: []string{"10.9.0.0/16"}, ExpiresAt: noon.Add(30 * day)})
		by := apikeys.By{Actor: giver.ID, At: noon, Giver: &giver}
		within := func(change func(*apikeys.New)) apikeys.New {
			n := apikeys.New{Name: "new", Scopes: []string{"keys:verify"}, Audience: []string{"https://a.example"},
				Allow: []string{"10.1.0.0/16"}, ExpiresAt: noon.Add(day)}
			change(&n)
			return n
		}
		service := serviceOf(t, r)
		served := func(n *apikeys.New) { n.OwnerType, n.OwnerID = "service", service }
		for _, tt := range []struct {
			name   string
			change func(*apikeys.New)
			right  string
		}{
			{"what it has", func(*apikeys.New) {}, ""},
			{"all of it", func(n *apikeys.New) {
				n.Allow, n.Deny, n.ExpiresAt = giver.Allow, giver.Deny, giver.ExpiresAt
			}, ""},
			{"a denied network inside of another", func(n *apikeys.New) { n.Allow, n.Deny = giver.Allow, []string{"10.8.0.0/13"} }, ""},
			{"another scope", func(n *apikeys.New) { n.Scopes = []string{"users:read"} }, "scopes"},
			{"another audience", func(n *apikeys.New) { n.Audience = []string{"https://b.example"} }, "audience"},
			{"no network", func(n *apikeys.New) { n.Allow = nil }, "networks"},
			{"a larger network", func(n *apikeys.New) { n.Allow = []string{"10.0.0.0/7"} }, "networks"},
			{"another network", func(n *apikeys.New) { n.Allow = []string{"10.1.0.0/16", "192.0.2.1"} }, "networks"},
			{"the other family", func(n *apikeys.New) { n.Allow = []string{"::/0"} }, "networks"},
			{"a denied network", func(n *apikeys.New) { n.Allow = []string{"10.9.1.0/24"} }, "networks"},
			{"a part of a denied network", func(n *apikeys.New) { n.Allow, n.Deny = giver.Allow, []string{"10.9.0.0/17"} }, "networks"},
			{"a longer life", func(n *apikeys.New) { n.ExpiresAt = noon.Add(30*day + time.Second) }, "life"},
			{"a service's own rights", func(n *apikeys.New) {
				served(n)
				n.Scopes, n.Audience = []string{"orders:write"}, []string{"https://b.example"}
			}, ""},
			{"a right of ours to a service", func(n *apikeys.New) { served(n); n.Scopes = []string{"keys:leak"} }, "scopes"},
			{"a service's longer life", func(n *apikeys.New) { served(n); n.ExpiresAt = noon.Add(31 * day) }, "life"},
			{"a service's other network", func(n *apikeys.New) { served(n); n.Allow = []string{"192.0.2.1"} }, "networks"},
		} {
			right := func(err error) string {
				if e, ok := errors.AsType[*apikeys.NotYours](err); ok {
					return e.Right
				}
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				return ""
			}
			n := within(tt.change)
			if _, _, err := r.Make(t.Context(), n, by); right(err) != tt.right {
				t.Errorf("making one with %s: %q, want %q", tt.name, right(err), tt.right)
			}
			// By a change of one that it could make.
			k, _, err := r.Make(t.Context(), within(func(to *apikeys.New) { to.OwnerType, to.OwnerID = n.OwnerType, n.OwnerID }), by)
			if err != nil {
				t.Fatal(err)
			}
			change := apikeys.Change{Scopes: &n.Scopes, Audience: &n.Audience, Allow: &n.Allow, Deny: &n.Deny, ExpiresAt: &n.ExpiresAt}
			if _, err := r.Change(t.Context(), k.ID, change, by); right(err) != tt.right {
				t.Errorf("changing one to %s: %q, want %q", tt.name, right(err), tt.right)
			}
			// By replacing one that somebody else has made: of life it gives what it can.
			if tt.right == "life" {
				continue
			}
			k, _ = made(t, r, n)
			if _, _, err := r.Rotate(t.Context(), k.ID, 0, by); right(err) != tt.right {
				t.Errorf("replacing one with %s: %q, want %q", tt.name, right(err), tt.right)
			}
		}
		k, _, err := r.Make(t.Context(), within(func(n *apikeys.New) { n.ExpiresAt = time.Time{} }), by)
		if err != nil || !k.ExpiresAt.Equal(giver.ExpiresAt) {
			t.Errorf("without a word it lives until %s, %v", k.ExpiresAt, err)
		}
		longer, _ := made(t, r, within(func(n *apikeys.New) { n.ExpiresAt = noon.Add(80 * day) }))
		next, _, err := r.Rotate(t.Context(), longer.ID, 0, by)
		if err != nil || !next.ExpiresAt.Equal(giver.ExpiresAt) {
			t.Errorf("the successor of a longer one lives until %s, %v", next.ExpiresAt, err)
		}
		// A name is no right: it may be changed of keys that live longer.
		name, longest := "renamed", within(func(n *apikeys.New) { n.ExpiresAt = noon.Add(80 * day) })
		other, _ := made(t, r, longest)
		if _, err := r.Change(t.Context(), other.ID, apikeys.Change{Name: &name}, by); err != nil {
			t.Errorf("a name: %v", err)
		}
		// Its own successor is as long good as it was itself.
		later := by
		later.At = noon.Add(20 * day)
		next, _, err = r.Rotate(t.Context(), giver.ID, 0, later)
		if err != nil || !next.ExpiresAt.Equal(noon.Add(50*day)) {
			t.Errorf("its own successor lives until %s, %v", next.ExpiresAt, err)
		}
	})
}
