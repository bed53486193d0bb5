package load_test

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

const (
	secret    = "0123456789abcdef0123456789abcdef"
	back      = "http://127.0.0.1:9/cb"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 Appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// BenchmarkLeast is the limit: see the package comment.
func BenchmarkLeast(b *testing.B) {
	s := startLeast(b)
	b.Run("document", func(b *testing.B) { s.measure(b, s.get("/document")) })
	b.Run("client_credentials/ES256", func(b *testing.B) { s.measure(b, s.own("robot", "secret")) })
}

func BenchmarkSQLite(b *testing.B) { all(b, start(b, storagetest.SQLite(b))) }

func BenchmarkPostgreSQL(b *testing.B) {
	all(b, start(b, durable(b)))
}

// durable makes a database in a PostgreSQL that syncs its commits.
func durable(b *testing.B) string {
	b.Helper()
	if os.Getenv("TEST_POSTGRES") == "" {
		b.Skip("TEST_POSTGRES is not set: the server that tests start does not sync its commits")
	}
	database := storagetest.Postgres(b)
	conn, err := pgx.Connect(b.Context(), database)
	if err != nil {
		b.Fatal(err)
	}
	var fsync, commit string
	err = conn.QueryRow(b.Context(), `SELECT current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&fsync, &commit)
	conn.Close(b.Context())
	if err != nil || fsync != "on" || commit != "on" {
		b.Fatalf("fsync is %s and synchronous_commit is %s, both must be on: %v", fsync, commit, err)
	}
	return database
}

// An operation is something that clients do again and again. prepare makes what one client does.
type operation struct {
	name    string
	prepare func(*visit) func() error
}

// operations is everything that needs nothing but a session. Each name says which tokens are
// signed, and with what.
func (s *target) operations(cookie string) []operation {
	return []operation{
		{"JWKS", s.get("/.well-known/jwks.json")},
		{"discovery", s.get("/.well-known/openid-configuration")},
		{"client_credentials/ES256", s.own("robot-ES256", secret)},
		{"client_credentials/RS256", s.own("robot-RS256", secret)},
		{"client_credentials/opaque", s.own("robot-opaque", secret)},
		{"code flow/ID token ES256", s.flow("web-ES256", cookie)},
		{"code flow/ID token RS256", s.flow("web-RS256", cookie)},
		{"refresh/ID token ES256", s.refresh("web-ES256", cookie)},
		{"refresh/ID token RS256", s.refresh("web-RS256", cookie)},
		{"introspection/opaque", s.introspect("web-ES256", cookie)},
		{"introspection/JWT", s.introspect("web-jwt", cookie)},
		{"userinfo/opaque", s.userinfo("web-ES256", cookie)},
		{"userinfo/JWT", s.userinfo("web-jwt", cookie)},
	}
}

// all measures every operation.
func all(b *testing.B, s *target) {
	cookie := s.furnish()
	for _, one := range append(s.operations(cookie), s.doors()...) {
		b.Run(one.name, func(b *testing.B) { s.measure(b, one.prepare) })
	}
	b.Run("revocation", func(b *testing.B) { s.measure(b, s.revoke(b, "web-ES256", cookie)) })
}

// furnish makes the person and the applications, and returns the cookie of her session.
func (s *target) furnish() string {
	s.run(conformance.Password, "users", "add", "ada@example.com", "--verified", "--password-file", "-")
	add := func(id string, flags ...string) {
		s.run(secret, append([]string{"clients", "add", id, "--id", id, "--secret-file", "-"}, flags...)...)
	}
	for _, alg := range []string{"ES256", "RS256"} {
		add("robot-"+alg, "--type", "service", "--scope", "a", "--access-token-alg", alg)
		add("web-"+alg, "--type", "web", "--redirect", back, "--consent", "never", "--id-token-alg", alg, "--access-token", "opaque")
	}
	add("robot-opaque", "--type", "service", "--scope", "a", "--access-token", "opaque")
	add("web-jwt", "--type", "web", "--redirect", back, "--consent", "never", "--id-token-alg", "ES256")
	return s.signIn(s.b)
}

// signIn signs in once; all sixteen browsers have the cookie.
func (s *target) signIn(b testing.TB) string {
	b.Helper()
	v := s.visit(b)
	if _, err := v.conn.Write(s.request("POST", "/login", "", url.Values{"username": {"ada@example.com"}, "password": {conformance.Password}})); err != nil {
		b.Fatal(err)
	}
	for {
		line, err := v.in.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "" {
			b.Fatalf("no cookie: %v", err)
		}
		if cookie, ok := strings.CutPrefix(line, "Set-Cookie: "); ok {
			pair, _, _ := strings.Cut(cookie, ";")
			return "Cookie: " + pair
		}
	}
}

func (s *target) get(path string) func(*visit) func() error {
	request := s.request("GET", path, "", nil)
	return func(v *visit) func() error { return v.again(request, "") }
}

// again sends the same request each time.
func (v *visit) again(request []byte, holds string) func() error {
	return func() error {
		_, _, err := v.send(request, 200, holds)
		return err
	}
}

func (s *target) own(id, secret string) func(*visit) func() error {
	request := s.request("POST", "/oauth/token", basic(id, secret), url.Values{"grant_type": {"client_credentials"}})
	return func(v *visit) func() error { return v.again(request, `"access_token":"`) }
}

// code goes from the application to its tokens: two requests, with a session and without a question.
func (s *target) code(v *visit, id, cookie string) ([]byte, error) {
	ask := url.Values{"client_id": {id}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid profile"}, "state": {"s"},
		"nonce": {"n"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	_, to, err := v.send(s.request("GET", "/authorize?"+ask.Encode(), cookie, nil), 303, back)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	spend := url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {back}, "code_verifier": {verifier}}
	tokens, _, err := v.send(s.request("POST", "/oauth/token", basic(id, secret), spend), 200, `"id_token":"`)
	return bytes.Clone(tokens), err
}

func (s *target) flow(id, cookie string) func(*visit) func() error {
	return func(v *visit) func() error {
		return func() error {
			_, err := s.code(v, id, cookie)
			return err
		}
	}
}

func (s *target) refresh(id, cookie string) func(*visit) func() error {
	return func(v *visit) func() error {
		tokens, err := s.code(v, id, cookie)
		return func() error {
			if err != nil {
				return err
			}
			again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(tokens, "refresh_token")}}
			tokens, _, err = v.send(s.request("POST", "/oauth/token", basic(id, secret), again), 200, `"id_token":"`)
			return err
		}
	}
}

func (s *target) introspect(id, cookie string) func(*visit) func() error {
	return func(v *visit) func() error {
		tokens, err := s.code(v, id, cookie)
		if err != nil {
			return func() error { return err }
		}
		return v.again(s.request("POST", "/introspect", basic(id, secret), url.Values{"token": {str(tokens, "access_token")}}), `"active":true`)
	}
}

func (s *target) userinfo(id, cookie string) func(*visit) func() error {
	return func(v *visit) func() error {
		tokens, err := s.code(v, id, cookie)
		if err != nil {
			return func() error { return err }
		}
		return v.again(s.request("GET", "/userinfo", "Authorization: Bearer "+str(tokens, "access_token"), nil), `"sub":"`)
	}
}

// revoke has a refresh token ready for every time.
func (s *target) revoke(b *testing.B, id, cookie string) func(*visit) func() error {
	b.Helper()
	ready := make(chan string, b.N)
	var group sync.WaitGroup
	share := make(chan struct{}, b.N)
	for range b.N {
		share <- struct{}{}
	}
	close(share)
	for range clients {
		v := s.visit(b)
		group.Go(func() {
			for range share {
				tokens, err := s.code(v, id, cookie)
				if err != nil {
					b.Error(err)
					return
				}
				ready <- str(tokens, "refresh_token")
			}
		})
	}
	group.Wait()
	return func(v *visit) func() error {
		return func() error {
			select {
			case token := <-ready:
				_, _, err := v.send(s.request("POST", "/revoke", basic(id, secret), url.Values{"token": {token}}), 200, "")
				return err
			default:
				return fmt.Errorf("no refresh token is left")
			}
		}
	}
}
