package providers_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A shaped is a server that answers as a provider's documentation says, and signs in whoever it is
// told to. Its authorization page is a button.
type shaped struct {
	*httptest.Server
	paths  map[string]string // what is where: authorize, token, user, emails
	mu     sync.Mutex
	user   any // what the user document says from now on
	emails any
	codes  map[string]url.Values // the request of each code
	fails  func(w http.ResponseWriter, r *http.Request) bool
	calls  int // of the token endpoint
}

const shapedID, shapedSecret = "client-1", "a secret of theirs"

func newShaped(t testing.TB, paths map[string]string) *shaped {
	s := &shaped{paths: paths, codes: map[string]url.Values{}}
	s.Server = httptest.NewServer(s)
	// By name: the cookies of 127.0.0.1 are the server's.
	s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	t.Cleanup(s.Close)
	return s
}

// newGitHub is https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
// and /rest/users, as far as a sign-in needs it.
func newGitHub(t testing.TB) *shaped {
	s := newShaped(t, map[string]string{"authorize": "/login/oauth/authorize", "token": "/login/oauth/access_token", "user": "/user", "emails": "/user/emails"})
	s.becomes(map[string]any{"login": "octocat", "id": 583231, "node_id": "MDQ6VXNlcjE=", "avatar_url": "https://avatars.example/octocat", "html_url": "https://github.example/octocat",
		"type": "User", "site_admin": false, "name": "The Octocat", "email": nil},
		[]map[string]any{
			{"email": "octocat@example.com", "primary": true, "verified": true, "visibility": "private"},
			{"email": "octocat@users.noreply.example", "primary": false, "verified": true, "visibility": nil}})
	return s
}

// newDiscord is https://discord.com/developers/docs/topics/oauth2 and /docs/resources/user.
func newDiscord(t testing.TB) *shaped {
	s := newShaped(t, map[string]string{"authorize": "/oauth2/authorize", "token": "/api/oauth2/token", "user": "/api/users/@me"})
	s.becomes(map[string]any{"id": "80351110224678912", "username": "nelly", "discriminator": "0", "global_name": "Nelly", "avatar": "8342729096ea3675442027381ff50dfe",
		"verified": true, "email": "nelly@example.com", "locale": "en-US", "flags": 64, "premium_type": 1, "mfa_enabled": false}, nil)
	return s
}

// becomes makes somebody else the one who is signed in there.
func (s *shaped) becomes(user, emails any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.emails = user, emails
}

// flags are what the command line is told of it.
func (s *shaped) flags() []string {
	flags := []string{"--client-id", shapedID, "--authorize-url", s.URL + s.paths["authorize"], "--token-url", s.URL + s.paths["token"], "--userinfo-url", s.URL + s.paths["user"]}
	if at, ok := s.paths["emails"]; ok {
		flags = append(flags, "--emails-url", s.URL+at)
	}
	return flags
}

func (s *shaped) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ParseForm()
	if s.fails != nil && s.fails(w, r) {
		return
	}
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	bearer := func() bool {
		return s.codes["token "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] != nil
	}
	switch r.URL.Path {
	case s.paths["authorize"]:
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Authorize</title><link rel="icon" href="data:,"><form method="post" action="%s"><button>Authorize</button></form>`, html.EscapeString(r.URL.RequestURI()))
			return
		}
		code := rand.Text()
		s.codes[code] = r.URL.Query()
		to, err := url.Parse(r.URL.Query().Get("redirect_uri"))
		if err != nil || r.URL.Query().Get("client_id") != shapedID {
			answer(400, "no")
			return
		}
		to.RawQuery = url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}.Encode()
		http.Redirect(w, r, to.String(), http.StatusFound)
	case s.paths["token"]:
		s.calls++
		asked := s.codes[r.PostForm.Get("code")]
		delete(s.codes, r.PostForm.Get("code"))
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if asked == nil || r.PostForm.Get("client_id") != shapedID || r.PostForm.Get("client_secret") != shapedSecret ||
			asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			// GitHub says so with 200.
			answer(200, map[string]string{"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."})
			return
		}
		token := rand.Text()
		s.codes["token "+token] = url.Values{}
		answer(200, map[string]any{"access_token": token, "token_type": "Bearer", "scope": asked.Get("scope")})
	case s.paths["user"]:
		if !bearer() {
			answer(401, map[string]string{"message": "Bad credentials"})
			return
		}
		answer(200, s.user)
	case s.paths["emails"]:
		if !bearer() {
			answer(401, map[string]string{"message": "Bad credentials"})
			return
		}
		answer(200, s.emails)
	default:
		answer(404, map[string]string{"message": "Not Found"})
	}
}
