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
	k, err := New{Name: "ci", Scopes: []string{"users:write", "users:read", "users:read"}, At: at}.key(MaxLife)
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
	k, err = New{Name: "admin", Forever: true, At: at}.key(MaxLife)
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
		{"longer than the operator allows", "expires_at", func(n *New) { n.ExpiresAt = at.Add(MaxLife + time.Second) }},
		{"good when it is over", "not_before", func(n *New) { n.NotBefore = at.Add(MaxLife) }},
		{"from no network", "allow", func(n *New) { n.Allow = []string{"192.0.2.0/33"} }},
		{"not from a name", "deny", func(n *New) { n.Deny = []string{"localhost"} }},
		{"a limit without a time", "rate_limits", func(n *New) { n.Limits = []string{"600"} }},
		{"two limits of one name", "rate_limits", func(n *New) { n.Limits = []string{"1/s", "2/m"} }},
		{"metadata that is a list", "metadata", func(n *New) { n.Metadata = []byte("[]") }},
		{"half a hash", "sha256", func(n *New) { n.OwnerType, n.OwnerID, n.SHA256 = "service", "svc_1", make([]byte, 16) }},
		{"an imported key of the instance", "owner_type", func(n *New) { n.SHA256 = make([]byte, 32) }},
		{"two resources in one", "audience", func(n *New) { n.Audience = []string{"https://a https://b"} }},
	} {
		n := New{Name: "ci", At: at}
		tt.change(&n)
		_, err := n.key(MaxLife)
		if invalid, ok := errors.AsType[*Invalid](err); !ok || invalid.Field != tt.field {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// However somebody writes a thing, it is remembered in one way.
func TestOneSpelling(t *testing.T) {
	k, err := New{
		Name: "ci", At: at, Limits: []string{"600/m", "daily:5/24h"}, Metadata: []byte(`{ "a": 1 }`),
		Allow: []string{"192.0.2.77/24", "2001:DB8::1", "::ffff:192.0.2.1"},
	}.key(MaxLife)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"192.0.2.0/24", "192.0.2.1/32", "2001:db8::1/128"}; !slices.Equal(k.Allow, want) {
		t.Errorf("networks %v", k.Allow)
	}
	if want := []string{"daily:5/86400s", "default:600/60s"}; !slices.Equal(k.Limits, want) || string(k.Metadata) != `{"a":1}` {
		t.Errorf("%v %s", k.Limits, k.Metadata)
	}
}
