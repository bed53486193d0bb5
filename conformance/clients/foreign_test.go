package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// each tells a story on SQLite and on PostgreSQL.
func each(t *testing.T, tell func(*testing.T, *conformance.Server)) {
	t.Run("sqlite", func(t *testing.T) { tell(t, conformance.Start(t, "")) })
	t.Run("postgres", func(t *testing.T) { tell(t, conformance.Start(t, storagetest.Postgres(t))) })
}

// need skips the test unless the path is there, or fails it where CI requires all.
func need(t *testing.T, path, install string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	if os.Getenv("MINTMARK_REQUIRE_CLIENTS") == "1" {
		t.Fatalf("%s is missing: %s", path, install)
	}
	t.Skipf("%s is missing: %s", path, install)
}

const npmInstall = "npm install --prefix conformance/clients/node"

func TestOpenIDClientSignsIn(t *testing.T) {
	need(t, "node/node_modules/openid-client", npmInstall)
	each(t, func(t *testing.T, op *conformance.Server) {
		got := signIn(t, op, "web", func(port string, app conformance.Client) *exec.Cmd {
			return exec.Command("node", "node/openid-client.mjs", port, op.Issuer, app.ID, app.Secret)
		})
		if got["refreshed"] != true || got["active"] != true || got["afterwards"] != false {
			t.Errorf("it saw %v", got)
		}
	})
}

func TestOAuth4WebAPISignsIn(t *testing.T) {
	need(t, "node/node_modules/oauth4webapi", npmInstall)
	each(t, func(t *testing.T, op *conformance.Server) {
		got := signIn(t, op, "native", func(port string, app conformance.Client) *exec.Cmd {
			return exec.Command("node", "node/oauth4webapi.mjs", port, op.Issuer, app.ID)
		})
		if got["iss"] != op.Issuer {
			t.Errorf("RFC 9207: it saw %v", got)
		}
	})
}

func needAuthlib(t *testing.T) (python string) {
	t.Helper()
	python = os.Getenv("MINTMARK_PYTHON") // of a virtual environment with python/requirements.txt
	if python == "" {
		python = "python/venv/bin/python"
	}
	need(t, python, "python3 -m venv conformance/clients/python/venv && conformance/clients/python/venv/bin/pip install -r conformance/clients/python/requirements.txt")
	return python
}

func TestAuthlibSignsIn(t *testing.T) {
	python := needAuthlib(t)
	each(t, func(t *testing.T, op *conformance.Server) {
		signIn(t, op, "web", func(port string, app conformance.Client) *exec.Cmd {
			return exec.Command(python, "python/authlib_app.py", port, op.Issuer, app.ID, app.Secret)
		})
	})
}

func TestJoseVerifiesAccessTokens(t *testing.T) {
	need(t, "node/node_modules/jose", npmInstall)
	each(t, func(t *testing.T, op *conformance.Server) {
		for _, alg := range []string{"ES256", "RS256"} {
			service := op.AddClient("robot-"+alg, "service", "--scope", "orders:read",
				"--audience", "https://orders.example", "--access-token-alg", alg)
			token := clientToken(t, op, service)
			verify := exec.Command("node", "node/jose.mjs", op.Issuer, "https://orders.example")
			verify.Stdin = strings.NewReader(token)
			out, err := verify.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got struct {
				Header struct{ Alg, Typ, Kid string }
				Claims struct {
					Sub   string
					Scope string
				}
			}
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatal(err)
			}
			if got.Header.Alg != alg || got.Claims.Sub != service.ID || got.Claims.Scope != "orders:read" {
				t.Errorf("verified: %+v", got)
			}
		}
	})
}

func TestModAuthOpenIDCSignsIn(t *testing.T) {
	need(t, "/usr/lib/apache2/modules/mod_auth_openidc.so", "apt-get install apache2 libapache2-mod-auth-openidc")
	each(t, func(t *testing.T, op *conformance.Server) {
		dir, err := os.MkdirTemp("/tmp", "mintmark-apache")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		// Apache's workers run as another user, who must be able to read the page.
		os.Chmod(dir, 0o755)
		sub := op.AddPerson("ada@example.com")
		port := freePort(t)
		app := op.AddClient("apache", "web", "--redirect", "http://127.0.0.1:"+port+"/callback")
		write(t, filepath.Join(dir, "index.html"), "a protected page")
		write(t, filepath.Join(dir, "httpd.conf"), fmt.Sprintf(apacheConf, dir, port, op.Issuer, app.ID, app.Secret))
		start(t, exec.Command("/usr/sbin/apache2", "-f", filepath.Join(dir, "httpd.conf"), "-DFOREGROUND"))
		await(t, port)

		page := conformance.NewPerson(t, "ada@example.com").SignIn("http://127.0.0.1:" + port + "/index.html")
		if page.Status != 200 || !strings.Contains(page.Body, "a protected page") {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("%d %s: %s\n%s", page.Status, page.URL, page.Body, log)
		}
		if who := page.Header.Get("X-Who"); who != sub {
			t.Errorf("Apache thinks that this is %q, not %s", who, sub)
		}
	})
}

const apacheConf = `
ServerName 127.0.0.1
DefaultRuntimeDir %[1]s
PidFile %[1]s/httpd.pid
ErrorLog %[1]s/error.log
Listen 127.0.0.1:%[2]s
DocumentRoot %[1]s
User nobody
Group nogroup
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule auth_openidc_module /usr/lib/apache2/modules/mod_auth_openidc.so
OIDCProviderMetadataURL %[3]s/.well-known/openid-configuration
OIDCClientID %[4]s
OIDCClientSecret %[5]s
OIDCRedirectURI http://127.0.0.1:%[2]s/callback
OIDCCryptoPassphrase only-for-this-test
OIDCScope "openid email profile"
OIDCPKCEMethod S256
OIDCRemoteUserClaim sub
OIDCCacheDir %[1]s
<Location />
	AuthType openid-connect
	Require valid-user
	Header set X-Who expr=%%{REMOTE_USER}
</Location>
`

// signIn runs an application, lets a person sign in to it and returns what it then shows.
func signIn(t *testing.T, op *conformance.Server, kind string, app func(port string, c conformance.Client) *exec.Cmd) map[string]any {
	t.Helper()
	sub := op.AddPerson("ada@example.com")
	port := freePort(t)
	registered := op.AddClient("app", kind, "--redirect", "http://127.0.0.1:"+port+"/callback")
	start(t, app(port, registered))
	await(t, port)
	page := conformance.NewPerson(t, "ada@example.com").SignIn("http://127.0.0.1:" + port + "/")
	var got map[string]any
	if err := json.Unmarshal([]byte(page.Body), &got); err != nil {
		t.Fatalf("%d %s: %s", page.Status, page.URL, page.Body)
	}
	if got["sub"] != sub || got["email"] != "ada@example.com" {
		t.Errorf("signed in as %v, not %s", got, sub)
	}
	return got
}

func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = os.Stderr
	if cmd.Stdout == nil {
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
			}
		}()
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// await waits until somebody listens.
func await(t *testing.T, port string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return
		}
	}
	t.Fatal("the application did not start within 20 s")
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

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
