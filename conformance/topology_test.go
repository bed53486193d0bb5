package conformance_test

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"mintmark/conformance"
	"mintmark/storage/storagetest"
)

// The compose file is read by a parser, and what it says is compared with what there is.
func TestComposeFile(t *testing.T) {
	text, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	type service struct {
		Image       string
		Build       string
		ReadOnly    bool `yaml:"read_only"`
		Environment map[string]string
		Secrets     []string
		Volumes     []string
		Ports       []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
	var file struct {
		Services map[string]service
		Secrets  map[string]struct{ File string }
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "mintmark-1", "mintmark-2", "proxy"} {
		if _, ok := file.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range file.Services {
		for _, secret := range s.Secrets {
			if file.Secrets[secret].File == "" {
				t.Errorf("%s uses the secret %s, which is not declared", name, secret)
			}
		}
		for on := range s.DependsOn {
			if _, ok := file.Services[on]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, on)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(from, "./") {
				if _, err := os.Stat(filepath.Join("..", from)); err != nil {
					t.Errorf("%s mounts %s: %v", name, from, err)
				}
			} else if _, ok := file.Volumes[from]; !ok {
				t.Errorf("%s mounts the volume %s, which is not declared", name, from)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s to everybody", name, p)
			}
		}
		for key, value := range s.Environment {
			if strings.Contains(strings.ToLower(key), "password") && !strings.HasSuffix(key, "_FILE") {
				t.Errorf("%s has a secret in its environment: %s=%s", name, key, value)
			}
		}
	}
	if !file.Services["mintmark-1"].ReadOnly || file.Services["mintmark-2"].Environment["MINTMARK_ISSUER"] == "" {
		t.Error("the second copy is not like the first")
	}
}

// The topology of docker-compose.yml as processes: two copies on one PostgreSQL behind nginx,
// with the same environment and the same proxy configuration.
func TestTwoCopiesBehindAProxy(t *testing.T) {
	if _, err := exec.LookPath("nginx"); err != nil {
		if os.Getenv("MINTMARK_REQUIRE_CLIENTS") == "1" {
			t.Fatal("nginx is missing: apt-get install nginx-light")
		}
		t.Skip("nginx is missing: apt-get install nginx-light")
	}
	database := storagetest.Postgres(t)
	dir, err := os.MkdirTemp("/tmp", "mintmark-topology")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	key, err := exec.Command(conformance.Program(t), "secrets", "new").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"encryption_key": string(key), "database_url": database + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ports := []string{port(t), port(t), port(t)}
	issuer := "http://127.0.0.1:" + ports[2]
	copies := make([]*exec.Cmd, 2)
	for i := range copies {
		copies[i] = exec.Command(conformance.Program(t), "serve")
		copies[i].Dir = dir
		copies[i].Env = append(conformance.Environment(), "MINTMARK_ISSUER="+issuer, "MINTMARK_LISTEN=127.0.0.1:"+ports[i],
			"MINTMARK_DATABASE_URL_FILE="+filepath.Join(dir, "database_url"),
			"MINTMARK_SECRETS_ENCRYPTION_KEY_FILE="+filepath.Join(dir, "encryption_key"),
			"MINTMARK_TRUSTED_PROXIES=127.0.0.0/8")
		copies[i].Stderr = os.Stderr
		if err := copies[i].Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { copies[i].Process.Kill(); copies[i].Wait() })
	}
	conf, err := os.ReadFile("../deploy/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("mintmark-1:8080", "127.0.0.1:"+ports[0], "mintmark-2:8080", "127.0.0.1:"+ports[1],
		"listen 8080", "listen 127.0.0.1:"+ports[2], "/tmp/", dir+"/").Replace(string(conf))
	confFile := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(confFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	nginx := exec.Command("nginx", "-c", confFile, "-g", "daemon off;", "-e", filepath.Join(dir, "error.log"))
	nginx.Stderr = os.Stderr
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nginx.Process.Signal(syscall.SIGQUIT); nginx.Wait() })
	for _, p := range ports {
		ready(t, "http://127.0.0.1:"+p+"/readyz")
	}

	// A first administrator, as the production page says, and then a client through the API. The
	// set-up link is for people; scripts that have the database use it the same way.
	setup := exec.Command(conformance.Program(t), "setup-link")
	setup.Dir, setup.Env = dir, copies[0].Env
	link, err := setup.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(strings.TrimSpace(string(link)), "#")
	if !found {
		t.Fatalf("no set-up link: %s", link)
	}
	code, _, _ = strings.Cut(code, " ")
	p := conformance.NewPerson(t, "root@example.com")
	page := p.Visit(issuer + "/setup")
	page = p.Submit(page, "setup-submit", "code", code, "username", p.Email, "name", "Root", "password", conformance.Password)
	if page.Status != 200 || page.Has("setup-submit") {
		t.Fatalf("the set-up: %d %.500s", page.Status, page.Body)
	}

	// Requests all the time, and one copy goes away: nobody notices.
	var failed, done atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			resp, err := http.Get(issuer + "/.well-known/jwks.json")
			if err != nil || resp.StatusCode != 200 {
				failed.Add(1)
			} else {
				done.Add(1)
			}
			if resp != nil {
				resp.Body.Close()
			}
		}
	}()
	answered := func(n int64) {
		for want, end := done.Load()+n, time.Now().Add(20*time.Second); done.Load() < want; time.Sleep(time.Millisecond) {
			if failed.Load() > 0 || time.Now().After(end) {
				return // what follows says so
			}
		}
	}
	answered(50)
	copies[0].Process.Signal(syscall.SIGTERM)
	if err := copies[0].Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	answered(50)
	close(stop)
	<-ended
	if failed.Load() > 0 || done.Load() < 100 {
		t.Errorf("%d of %d requests failed while a copy went away", failed.Load(), failed.Load()+done.Load())
	}
	page = p.Visit(issuer + "/")
	if !strings.Contains(page.Body, "root@example.com") {
		t.Errorf("the session did not survive the other copy: %.400s", page.Body)
	}
}

func ready(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get(address); err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
	}
	t.Fatalf("%s was not ready after 20 s", address)
}

func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := url.Parse(fmt.Sprint("http://", l.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}
