package apikeys

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/internal/secret"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestDefaultsOfANewKey(t *testing.T) {
	k, err := New{Name: "ci", Scopes: []string{"users:write", "users:read", "users:read"}, At: at}.key()
	if err != nil {
		t.Fatal(err)
	}
	if k.Kind != secret.KindOrganizationKey || k.OwnerType != OwnerInstance || k.OwnerID != "" {
		t.Errorf("of kind %q for %q %q", k.Kind, k.OwnerType, k.OwnerID)
	}
	if !k.ExpiresAt.Equal(at.Add(90 * 24 * time.Hour)) {
		t.Errorf("expires at %s", k.ExpiresAt)
	}
	if want := []string{"users:read", "users:write"}; !slices.Equal(k.Scopes, want) {
		t.Errorf("scopes %v", k.Scopes)
	}
	k, err = New{Name: "admin", Forever: true, At: at}.key()
	if err != nil || !k.ExpiresAt.IsZero() {
		t.Errorf("the operator's own key: %s, %v", k.ExpiresAt, err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		change      func(*New)
	}{
		{"no name", "name", func(n *New) { n.Name = " " }},
		{"a name of two lines", "name", func(n *New) { n.Name = "a\nb" }},
		{"a long name", "name", func(n *New) { n.Name = strings.Repeat("x", 201) }},
		{"a client secret is no API key", "kind", func(n *New) { n.Kind = secret.KindClientSecret }},
		{"a person's key for the instance", "owner_type", func(n *New) { n.Kind = secret.KindUserKey }},
		{"an owner without an id", "owner_id", func(n *New) { n.Kind, n.OwnerType = secret.KindUserKey, "account" }},
		{"the instance with an id", "owner_id", func(n *New) { n.OwnerID = "x" }},
		{"expired from the start", "expires_at", func(n *New) { n.ExpiresAt = at }},
		{"for ever and a day", "expires_at", func(n *New) { n.Forever, n.ExpiresAt = true, at.Add(time.Hour) }},
		{"somebody's key for ever", "expires_at", func(n *New) {
			n.Kind, n.OwnerType, n.OwnerID, n.Forever = secret.KindUserKey, "account", "usr_1", true
		}},
		{"a scope nobody knows", "scopes", func(n *New) { n.Scopes = []string{"users:admin"} }},
		{"two scopes in one", "scopes", func(n *New) {
			n.Kind, n.OwnerType, n.OwnerID, n.Scopes = secret.KindServiceKey, "service", "svc_1", []string{"a b"}
		}},
		{"an empty scope", "scopes", func(n *New) { n.Scopes = []string{""} }},
		{"two resources in one", "audience", func(n *New) { n.Audience = []string{"https://a https://b"} }},
	} {
		n := New{Name: "ci", At: at}
		tt.change(&n)
		_, err := n.key()
		if invalid, ok := errors.AsType[*Invalid](err); !ok || invalid.Field != tt.field {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
