package issuer

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientAsJSON(t *testing.T) {
	age := int64(60)
	c := Client{
		ID: "cli_1", Name: "App", Type: "web", RedirectURIs: []string{"https://app.example/cb"},
		Scopes: []string{"openid", "email"}, DefaultMaxAge: &age, JWKS: json.RawMessage(`{"keys":[]}`),
		Secrets: []ClientSecret{{Hash: "sha256:00"}}, CreatedAt: time.Unix(1, 0),
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"scope":"openid email"`) || !strings.Contains(string(b), `"require_pkce":false`) || strings.Contains(string(b), "sha256") {
		t.Errorf("got %s", b)
	}
	var got Client
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	c.Secrets, c.CreatedAt = nil, time.Time{}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
}

func TestPKCEIsRequiredUnlessTheMetadataSaysNo(t *testing.T) {
	for text, want := range map[string]bool{`{}`: true, `{"require_pkce":true}`: true, `{"require_pkce":false}`: false} {
		var c Client
		if err := json.Unmarshal([]byte(text), &c); err != nil || c.RequirePKCE != want {
			t.Errorf("%s: %v, %v", text, c.RequirePKCE, err)
		}
	}
}

// A change is read over the client that it changes. The client may be in the cache, where
// others are reading it.
func TestAChangeIsReadOverTheClient(t *testing.T) {
	age := int64(60)
	shared := Client{
		ID: "cli_1", Name: "App", RedirectURIs: []string{"https://app.example/cb"}, Scopes: []string{"openid"},
		DefaultMaxAge: &age, JWKS: json.RawMessage(`{"keys":[]}`), CreatedAt: time.Unix(1, 0),
	}
	changed := shared
	err := json.Unmarshal([]byte(`{"client_name":"New","redirect_uris":["https://new.example/c"],"default_max_age":5,"jwks":{"keys":1}}`), &changed)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Name != "New" || changed.RedirectURIs[0] != "https://new.example/c" || *changed.DefaultMaxAge != 5 ||
		len(changed.Scopes) != 1 || changed.RequirePKCE || changed.CreatedAt.IsZero() {
		t.Errorf("changed: %+v", changed)
	}
	if shared.RedirectURIs[0] != "https://app.example/cb" || *shared.DefaultMaxAge != 60 || string(shared.JWKS) != `{"keys":[]}` {
		t.Errorf("the shared one changed too: %+v", shared)
	}
}
