package apikeys_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/internal/secret"
)

// A guard in the process asks the registry, and says what a guard elsewhere would.
func TestAGuardInTheProcess(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		now := time.Now()
		service := serviceOf(t, r)
		add := func(n apikeys.New) (apikeys.Key, string) {
			n.Name, n.OwnerType, n.OwnerID, n.Scopes, n.ExpiresAt = "ci", "service", service, []string{"orders:read"}, now.Add(time.Hour)
			k, token, err := r.Make(t.Context(), n, apikeys.By{At: now})
			if err != nil {
				t.Fatal(err)
			}
			return k, token.Reveal()
		}
		_, good := add(apikeys.New{})
		_, bound := add(apikeys.New{Allow: []string{"198.51.100.0/24"}})
		_, rare := add(apikeys.New{Limits: []string{"1/h"}})
		gone, revoked := add(apikeys.New{})
		if err := r.Revoke(t.Context(), gone.ID, "", false, apikeys.By{}); err != nil {
			t.Fatal(err)
		}
		guard, err := bearer.New(bearer.Config{Keys: r.Verifier()})
		if err != nil {
			t.Fatal(err)
		}
		orders := guard.Require("orders:read")(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			p, _ := bearer.FromContext(q.Context())
			w.Header().Set("X-Subject", p.Subject)
		}))
		ask := func(key string) *httptest.ResponseRecorder {
			q := httptest.NewRequest("GET", "https://orders.example/", nil)
			q.RemoteAddr = "192.0.2.1:1"
			q.Header.Set("Authorization", "ApiKey "+key)
			w := httptest.NewRecorder()
			orders.ServeHTTP(w, q)
			return w
		}
		for _, tt := range []struct {
			name, key string
			status    int
		}{
			{"a good key", good, 200},
			{"a revoked key", revoked, 401},
			{"a forged key", r.Mint.Issue(secret.KindServiceKey, gone.ID).Reveal(), 401},
			{"from another network", bound, 403},
			{"the first of its limit", rare, 200},
			{"over its limit", rare, 429},
		} {
			got := ask(tt.key)
			if got.Code != tt.status || tt.status == 200 && got.Header().Get("X-Subject") != service {
				t.Errorf("%s: %d %s", tt.name, got.Code, got.Body)
			}
		}
		if got := ask(rare); got.Header().Get("Retry-After") == "" {
			t.Error("over its limit, and nobody says until when")
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		other := &apikeys.Registry{Store: r.Store, Mint: r.Mint} // remembers nothing
		if _, err := other.Verifier().Verify(stopped, bearer.Credential{Text: good}, now); !errors.Is(err, bearer.ErrUnavailable) || errors.Is(err, bearer.ErrInvalid) {
			t.Errorf("without the database: %v", err)
		}
	})
}

// What came from a key stands as long as the key does, whoever shows it and from where.
func TestWhatCameFromAKeyGoesWithIt(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		k, key := made(t, r, apikeys.New{
			Name: "ci", OwnerType: "service", OwnerID: serviceOf(t, r), ExpiresAt: noon.Add(time.Hour), NotBefore: noon.Add(time.Minute),
			Allow: []string{"192.0.2.0/24"}, Limits: []string{"1/h"},
		})
		stands := func(at time.Time) bool {
			t.Helper()
			ok, err := r.Stands(t.Context(), k.ID, nil, at)
			if err != nil {
				t.Fatal(err)
			}
			refused := r.Revoked(t.Context(), bearer.Principal{Key: k.ID}, at)
			if ok != (refused == nil) || refused != nil && !errors.Is(refused, bearer.ErrInvalid) {
				t.Errorf("it stands: %v, and a guard says %v", ok, refused)
			}
			if id, err := r.Recognise(t.Context(), key, at); ok != (err == nil) || ok && id != k.ID || !ok && err != apikeys.ErrInvalid {
				t.Errorf("it stands: %v, and is recognised as %q, %v", ok, id, err)
			}
			return ok
		}
		if stands(noon) || !stands(noon.Add(time.Minute)) || !stands(noon.Add(time.Hour-time.Microsecond)) || stands(noon.Add(time.Hour)) {
			t.Error("not from its beginning to its end")
		}
		from := netip.MustParseAddr("192.0.2.1")
		if _, err := r.Check(t.Context(), apikeys.Ask{Key: key, Address: from}, noon.Add(time.Minute)); err != nil {
			t.Errorf("to ask whether it stands was a use of its limit: %v", err)
		}
		if err := r.Disable(t.Context(), k.ID, "", apikeys.By{At: noon}); err != nil {
			t.Fatal(err)
		}
		if stands(noon.Add(time.Minute)) {
			t.Error("disabled, and it stands")
		}
		if err := r.Revoked(t.Context(), bearer.Principal{Subject: "somebody"}, noon); err != nil {
			t.Errorf("whoever has no key: %v", err)
		}
		for _, id := range []string{"", "x", "00000000000", "zzzzzzzzzzz", k.ID + "0", "'; DROP TABL"} {
			if ok, err := r.Stands(t.Context(), id, nil, noon); ok || err != nil {
				t.Errorf("the id %q: %v, %v", id, ok, err)
			}
		}
	})
}
