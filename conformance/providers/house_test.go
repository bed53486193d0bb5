package providers_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// each tells a story on both databases.
func each(t *testing.T, tell func(*testing.T, *conformance.Server)) {
	t.Run("sqlite", func(t *testing.T) { tell(t, conformance.Start(t, "")) })
	t.Run("postgres", func(t *testing.T) { tell(t, conformance.Start(t, storagetest.Postgres(t))) })
}

// A guest is a provider with somebody at it.
type guest struct {
	name, title string
	// fields are what they type into the forms of the provider, name and value in turn.
	fields []string
	email  string // what the provider says
	says   bool   // when the person proved who they are: it has ID tokens
}

// add makes a provider known to the server.
func add(t testing.TB, op *conformance.Server, name, kind, secret string, flags ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	op.Do(append([]string{"providers", "add", name, "--kind", kind, "--client-secret-file", file}, flags...)...)
}

// callback is where a provider sends people back to.
func callback(op *conformance.Server, name string) string {
	return op.Issuer + "/login/" + name + "/callback"
}

// github and discord are providers by their documentation.
func github(t *testing.T, op *conformance.Server) (guest, *shaped) {
	s := newGitHub(t)
	add(t, op, "github", "github", shapedSecret, s.flags()...)
	return guest{"github", "GitHub", nil, "octocat@example.com", false}, s
}

func discord(t *testing.T, op *conformance.Server) guest {
	s := newDiscord(t)
	add(t, op, "discord", "discord", shapedSecret, s.flags()...)
	return guest{"discord", "Discord", nil, "nelly@example.com", false}
}

// mintmark is another one of ours.
func mintmark(t *testing.T, op *conformance.Server) (guest, *conformance.Server) {
	t.Helper()
	port := freePort(t)
	up := conformance.Start(t, "", "--listen", "127.0.0.1:"+port, "--issuer", "http://localhost:"+port)
	up.AddPerson("ada@example.com")
	app := up.AddClient("Downstairs", "web", "--redirect", callback(op, "upstairs"))
	add(t, op, "upstairs", "oidc", app.Secret, "--issuer", up.Issuer, "--client-id", app.ID, "--title", "Upstairs")
	return guest{"upstairs", "Upstairs", []string{"username", "ada@example.com", "password", conformance.Password}, "ada@example.com", true}, up
}

// zitadel is the example provider of zitadel/oidc, which knows test-user@localhost.
func zitadel(t *testing.T, op *conformance.Server) guest {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	issuer := "http://localhost:" + port + "/"
	storage.RegisterClients(storage.WebClient("web", "secret", callback(op, "zitadel")))
	server := &http.Server{Handler: exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), false)}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	add(t, op, "zitadel", "oidc", "secret", "--issuer", issuer, "--client-id", "web", "--title", "Zitadel")
	return guest{"zitadel", "Zitadel", []string{"username", "test-user@localhost", "password", "verysecure"}, "test-user@zitadel.ch", true}
}

// oidcProvider is oidc-provider, the certified provider for Node.js, as a process of its own.
func oidcProvider(t *testing.T, op *conformance.Server) (guest, bool) {
	t.Helper()
	if _, err := os.Stat("../clients/node/node_modules/oidc-provider"); err != nil {
		if os.Getenv("MINTMARK_REQUIRE_CLIENTS") == "1" {
			t.Fatal("oidc-provider is missing: npm install --prefix conformance/clients/node")
		}
		t.Log("without oidc-provider: npm install --prefix conformance/clients/node")
		return guest{}, false
	}
	port := freePort(t)
	cmd := exec.Command("node", "../clients/node/oidc-provider.mjs", port, callback(op, "node"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("oidc-provider said:\n%s", log.String())
		}
	})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("oidc-provider did not start within 30 s")
		}
	}
	add(t, op, "node", "oidc", "a secret of at least 32 characters", "--issuer", "http://localhost:"+port, "--client-id", "mintmark", "--title", "Node")
	return guest{"node", "Node", []string{"login", "grace", "password", "x"}, "grace@example.com", true}, true
}

// everybody is all providers at once.
func everybody(t *testing.T, op *conformance.Server) []guest {
	t.Helper()
	hub, _ := github(t, op)
	up, _ := mintmark(t, op)
	all := []guest{hub, discord(t, op), up, zitadel(t, op)}
	if g, ok := oidcProvider(t, op); ok {
		all = append(all, g)
	}
	return all
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// An app is an application of the server.
type app struct {
	conformance.Client
	op *conformance.Server
	t  *testing.T
}

const (
	back     = "https://app.example/callback"
	verifier = "a-code-verifier-of-at-least-forty-three-characters-long"
)

func newApp(t *testing.T, op *conformance.Server, flags ...string) app {
	t.Helper()
	return app{op.AddClient("Orders", "web", append([]string{"--redirect", back, "--consent", "never"}, flags...)...), op, t}
}

// request is the address of a good authorization request, with changes: name and value in turn.
func (a app) request(changes ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {a.ID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid email profile"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return a.op.Issuer + "/authorize?" + q.Encode()
}

// tokens redeems the code at an address and returns the claims of the ID token and of userinfo.
func (a app) tokens(at *url.URL) (id, info map[string]any) {
	a.t.Helper()
	if at.Query().Get("code") == "" {
		a.t.Fatalf("no code at %s", at)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {at.Query().Get("code")}, "redirect_uri": {back}, "code_verifier": {verifier}}
	r, err := http.NewRequest("POST", a.op.Address+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(a.ID), url.QueryEscape(a.Secret))
	var got struct {
		IDToken     string `json:"id_token"`
		AccessToken string `json:"access_token"`
	}
	a.ask(r, &got)
	parts := strings.Split(got.IDToken, ".")
	if len(parts) != 3 {
		a.t.Fatalf("no ID token: %+v", got)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &id)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	if r, err = http.NewRequest("GET", a.op.Address+"/userinfo", nil); err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+got.AccessToken)
	a.ask(r, &info)
	return id, info
}

func (a app) ask(r *http.Request, into any) {
	a.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := json.Unmarshal(body, into); err != nil || resp.StatusCode != 200 {
		a.t.Fatalf("%s: %d %s", r.URL.Path, resp.StatusCode, body)
	}
}

// through goes through the pages of a provider, until the browser is somewhere else.
func (g guest) through(t *testing.T, p *conformance.Person, page conformance.Page) conformance.Page {
	t.Helper()
	for range 5 {
		if page.URL.Hostname() != "localhost" {
			return page
		}
		if page.Has("consent-approve") {
			page = p.Submit(page, "consent-approve")
			continue
		}
		page = p.SubmitFirst(page, g.fields...)
	}
	t.Fatalf("%s does not let them go:\n%s", g.name, strings.Join(p.Seen, "\n"))
	return page
}

// arrive signs in with a provider, for an application or for nobody (an address of the server).
func (g guest) arrive(t *testing.T, p *conformance.Person, address string) conformance.Page {
	t.Helper()
	return g.through(t, p, p.Click(p.Visit(address), "login-"+g.name))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
