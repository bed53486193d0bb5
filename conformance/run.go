package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Server is the built program, running as its own process.
type Server struct {
	Issuer  string
	Address string // where this copy listens; the issuer's own, unless it is a [Server.Copy]
	Data    string // its data folder

	t   testing.TB
	cmd *exec.Cmd
	log *bytes.Buffer
	mu  *sync.Mutex
}

// build makes the program once for each test binary.
var build = sync.OnceValues(func() (string, error) {
	sweep()
	dir, err := os.MkdirTemp("", "mintmark-build")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "mintmark")
	out, err := exec.Command("go", "build", "-o", program, "mintmark/cmd/mintmark").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return program, nil
})

// sweep takes away what earlier runs have built: a test binary ends without telling anybody.
func sweep() {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), "mintmark-build*"))
	for _, dir := range old {
		if about, err := os.Stat(dir); err == nil && time.Since(about.ModTime()) > 2*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

// Program returns the path of the built program.
func Program(t testing.TB) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// StartWith is [Start] with settings in its environment: "MINTMARK_TOKENS_CODE_TTL=2s".
func StartWith(t testing.TB, settings ...string) *Server {
	t.Helper()
	return launch(t, t.TempDir(), "", settings)
}

// Start runs `mintmark dev` on a free loopback port with a data folder of its own, on
// SQLite if database is empty, and waits until it is ready. It ends with the test.
func Start(t testing.TB, database string, flags ...string) *Server {
	t.Helper()
	return startIn(t, t.TempDir(), database, flags...)
}

func startIn(t testing.TB, data, database string, flags ...string) *Server {
	t.Helper()
	return launch(t, data, database, nil, flags...)
}

func launch(t testing.TB, data, database string, settings []string, flags ...string) *Server {
	t.Helper()
	args := append([]string{"dev", "--listen", "127.0.0.1:0", "--data", data}, flags...)
	if database != "" {
		args = append(args, "--database", database)
	}
	s := &Server{Data: data, t: t, log: new(bytes.Buffer), mu: new(sync.Mutex)}
	s.cmd = exec.Command(Program(t), args...)
	s.cmd.Env = append(Environment(), settings...)
	s.cmd.Stdout = locked{s}
	s.cmd.Stderr = locked{s}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	os.Remove(filepath.Join(data, "dev.json"))
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(15 * time.Second):
			s.cmd.Process.Kill()
			t.Error("the server did not end within 15 s of SIGTERM")
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log())
		}
	})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-exited:
			exited <- err
			t.Fatalf("the server ended: %v\n%s", err, s.Log())
		default:
		}
		text, err := os.ReadFile(filepath.Join(data, "dev.json"))
		if err != nil {
			continue
		}
		var about struct{ Issuer, Address string }
		if json.Unmarshal(text, &about) != nil {
			continue
		}
		s.Issuer, s.Address = about.Issuer, about.Address
		if resp, err := client.Get(s.Address + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
	}
	t.Fatalf("the server was not ready after 20 s\n%s", s.Log())
	return nil
}

// Environment is ours without what configures the tests: the program refuses names that it
// does not know.
func Environment() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "MINTMARK_") })
}

// Copy runs another copy of the server on the same database and with the same issuer and
// master key, on a port of its own.
func (s *Server) Copy(t testing.TB, database string) *Server {
	t.Helper()
	data := t.TempDir()
	for _, name := range []string{"master.key", "admin.key"} {
		text, err := os.ReadFile(filepath.Join(s.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(data, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return startIn(t, data, database, "--issuer", s.Issuer)
}

// client trusts any certificate on loopback: the tests make their own.
var client = &http.Client{Timeout: 10 * time.Second, Transport: loopbackOnly()}

type locked struct{ *Server }

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// Log returns what the server has printed so far, on both streams.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Do runs a command of the program against this server and returns its JSON.
func (s *Server) Do(args ...string) map[string]any {
	s.t.Helper()
	var answer map[string]any
	if err := json.Unmarshal(s.run(nil, args...), &answer); err != nil {
		s.t.Fatalf("mintmark %s did not print one JSON object: %v", strings.Join(args, " "), err)
	}
	return answer
}

// Run runs a command of the program against this server, whatever it prints.
func (s *Server) Run(args ...string) {
	s.t.Helper()
	s.run(nil, args...)
}

func (s *Server) run(stdin io.Reader, args ...string) []byte {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(Program(s.t), append(args, "--data", s.Data, "--output", "json")...)
	cmd.Env = Environment()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("mintmark %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes()
}

// Password is the password of every person that AddPerson makes.
const Password = "correct horse battery staple"

// AddPerson makes an account with every standard claim and returns its id.
func (s *Server) AddPerson(email string) string {
	s.t.Helper()
	dir := s.t.TempDir()
	password, claims := filepath.Join(dir, "password"), filepath.Join(dir, "claims.json")
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(claims, []byte(EveryClaim), 0o600); err != nil {
		s.t.Fatal(err)
	}
	user := s.Do("users", "add", email, "--password-file", password, "--verified", "--claims", claims)
	return user["id"].(string)
}

// EveryClaim is a value for every standard claim of OpenID Connect Core §5.1 that an
// operator can set.
const EveryClaim = `{
	"name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "middle_name": "King",
	"nickname": "ada", "preferred_username": "ada", "profile": "https://people.example/ada",
	"picture": "https://people.example/ada.png", "website": "https://ada.example",
	"gender": "female", "birthdate": "1985-12-10", "zoneinfo": "Europe/London", "locale": "en-GB",
	"phone_number": "+44 20 7946 0000", "phone_number_verified": true,
	"address": {"formatted": "12 St James's Square\nLondon", "street_address": "12 St James's Square",
		"locality": "London", "region": "London", "postal_code": "SW1Y 4JH", "country": "UK"}
}`

// A Client is an application as it was registered.
type Client struct{ ID, Secret string }

// AddClient registers an application.
func (s *Server) AddClient(name, kind string, flags ...string) Client {
	s.t.Helper()
	made := s.Do(append([]string{"clients", "add", name, "--type", kind}, flags...)...)
	secret, _ := made["client_secret"].(string)
	return Client{ID: made["client_id"].(string), Secret: secret}
}
