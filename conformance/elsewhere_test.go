package conformance_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An elsewhere is another system with people, keys and tokens of its own: a provider to sign in
// with, whose refresh tokens rotate, and an issuer of tokens that others bring along.
type elsewhere struct {
	*httptest.Server
	t       *testing.T
	key     *ecdsa.PrivateKey
	mu      sync.Mutex
	who     string // whoever sits at the browser there
	life    int    // of its access tokens, in seconds
	nonces  map[string]string
	refresh string // the one that is good
	renewed int
	slow    time.Duration // how long a refresh takes
	asked   map[string]int
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := &elsewhere{t: t, key: key, who: "ada", life: 3600, nonces: map[string]string{}, asked: map[string]int{}}
	routes := http.NewServeMux()
	routes.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		e.json(w, 200, map[string]any{"issuer": e.URL, "authorization_endpoint": e.URL + "/authorize", "token_endpoint": e.URL + "/token",
			"jwks_uri": e.URL + "/jwks", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	routes.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		e.json(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	})
	routes.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		code := fmt.Sprint("code-", serial.Add(1))
		e.mu.Lock()
		e.nonces[code] = q.Get("nonce")
		e.mu.Unlock()
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusSeeOther)
	})
	routes.HandleFunc("/token", e.token)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.asked[r.URL.Path]++
		e.mu.Unlock()
		routes.ServeHTTP(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *elsewhere) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (e *elsewhere) token(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	slow := e.slow
	e.mu.Unlock()
	time.Sleep(slow)
	e.mu.Lock()
	defer e.mu.Unlock()
	answer := map[string]any{"access_token": fmt.Sprint(`their "access" token `, serial.Add(1)), "token_type": "Bearer", "expires_in": e.life, "scope": "openid repo"}
	if r.PostFormValue("grant_type") == "refresh_token" {
		if r.PostFormValue("refresh_token") != e.refresh {
			e.json(w, 400, map[string]any{"error": "invalid_grant"})
			return
		}
		e.renewed++
	} else {
		now := time.Now()
		answer["id_token"] = e.sign(map[string]any{"iss": e.URL, "sub": e.who, "aud": "mintmark", "nonce": e.nonces[r.PostFormValue("code")],
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(), "email": e.who + "@elsewhere.example", "email_verified": true})
	}
	e.refresh = fmt.Sprint("their-refresh-token-", serial.Add(1))
	answer["refresh_token"] = e.refresh
	e.json(w, 200, answer)
}

// sign makes a token of theirs.
func (e *elsewhere) sign(claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: e.key}, (&jose.SignerOptions{}).WithHeader("kid", "one").WithType("JWT"))
	if err != nil {
		e.t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		e.t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		e.t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		e.t.Fatal(err)
	}
	return compact
}
