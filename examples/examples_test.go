// Package examples_test runs the examples as their readers would: as programs, beside a
// running Mintmark.
package examples_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mintmark/conformance"
)

const audience = "https://orders.example"

func TestTheGoService(t *testing.T) {
	program := filepath.Join(t.TempDir(), "go-service")
	if out, err := exec.Command("go", "build", "-o", program, "./go-service").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tell(t, exec.Command(program))
}

func TestTheNodeService(t *testing.T) { tell(t, node(t, "node-service", "jose")) }

// node is an example in Node, beside the modules that the other tests with Node have installed.
func node(t *testing.T, example, module string) *exec.Cmd {
	t.Helper()
	modules, err := filepath.Abs("../conformance/clients/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, module)); err != nil {
		if os.Getenv("MINTMARK_REQUIRE_CLIENTS") == "1" {
			t.Fatalf("%s is missing: npm install --prefix conformance/clients/node", module)
		}
		t.Skipf("%s is missing: npm install --prefix conformance/clients/node", module)
	}
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(example, "server.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server.mjs"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return exec.Command("node", filepath.Join(dir, "server.mjs"))
}

// tell runs the service and tells the story that both have to tell.
func tell(t *testing.T, service *exec.Cmd) {
	op := conformance.Start(t, "")
	reader := op.AddClient("reader", "service", "--scope", "orders:read", "--audience", audience)
	stranger := op.AddClient("stranger", "service", "--scope", "orders:read", "--audience", "https://other.example")
	robot := op.Do("services", "add", "robot")["id"].(string)
	made := op.Do("keys", "add", "reader", "--owner", robot, "--scope", "orders:read")
	key := made["key"].(string)
	// Its own key: here the first one, which may do everything; keys:verify and revocations:read are enough.
	at := free(t)
	address := start(t, service, at, "LISTEN="+at, "ISSUER="+op.Issuer, "AUDIENCE="+audience, "KEY_FILE="+filepath.Join(op.Data, "admin.key"))
	good := token(t, op, reader)
	for _, tt := range []struct{ name, method, authorization, want, challenge string }{
		{"who may read reads", "GET", "Bearer " + good, "200 " + reader.ID, ""},
		{"who may not write does not", "POST", "Bearer " + good, "403", "insufficient_scope"},
		{"for another service", "GET", "Bearer " + token(t, op, stranger), "401", "invalid_token"},
		{"changed on the way", "GET", "Bearer " + good[:len(good)-8] + "AAAAAAAA", "401", "invalid_token"},
		{"nobody", "GET", "", "401", "Bearer"},
		{"a key that may read reads", "GET", "ApiKey " + key, "200 " + robot, ""},
		{"a key as Bearer", "GET", "Bearer " + key, "200 " + robot, ""},
		{"a key that may not write does not", "POST", "ApiKey " + key, "403", "insufficient_scope"},
		{"a key changed on the way", "GET", "ApiKey " + key[:len(key)-1] + "_", "401", "Bearer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, address+"/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var who struct{ Subject string }
			json.NewDecoder(resp.Body).Decode(&who)
			got := strings.TrimSpace(resp.Status[:3] + " " + who.Subject)
			if challenge := resp.Header.Get("WWW-Authenticate"); got != tt.want || !strings.Contains(challenge, tt.challenge) {
				t.Errorf("got %s, %s", got, challenge)
			}
		})
	}
}

// token gets an access token for a client itself.
func token(t *testing.T, op *conformance.Server, c conformance.Client) string {
	t.Helper()
	status, answer := form(t, op, c, url.Values{"grant_type": {"client_credentials"}}, "/oauth/token")
	text, _ := answer["access_token"].(string)
	if text == "" {
		t.Fatalf("no token: %d %v", status, answer)
	}
	return text
}

// free returns an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs a service until the test ends, waits until it listens, and returns its URL.
func start(t *testing.T, service *exec.Cmd, address string, environment ...string) string {
	t.Helper()
	service.Env = append(conformance.Environment(), environment...)
	var log strings.Builder
	service.Stdout, service.Stderr = &log, &log
	service.WaitDelay = 5 * time.Second
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		service.Process.Signal(syscall.SIGTERM) // not Kill: nginx would leave its workers behind
		service.Wait()
		if t.Failed() {
			t.Logf("the service's log:\n%s", log.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return "http://" + address
		}
	}
	t.Fatal("the service does not listen after 20 s")
	return ""
}
