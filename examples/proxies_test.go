package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A proxy is a program in front of a service, with the configuration of the example, but for
// its ports.
type proxy struct {
	name    string
	looked  []string // where it is, if it is not in the path
	debian  bool     // it comes with Debian, so that CI has it
	args    []string
	ownSite bool   // it has files of its own, and the service is below /app/
	hidden  string // an address that is none for clients
}

var proxies = []proxy{
	{name: "nginx", looked: []string{"/usr/sbin/nginx"}, debian: true, args: []string{"-p", ".", "-c", "nginx.conf", "-e", "stderr"}, ownSite: true, hidden: "/_mintmark"},
	{name: "caddy", debian: true, args: []string{"run"}, ownSite: true},
	{name: "traefik", args: []string{"--configFile=traefik.yaml"}},
	{name: "envoy", args: []string{"-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"}},
}

// TestProxies tells the same story behind each of them. Traefik and Envoy are not in Debian:
// what is not in the path is not run.
func TestProxies(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) { tellBehind(t, p, p.find(t)) })
	}
}

// find returns the program.
func (p proxy) find(t *testing.T) string {
	t.Helper()
	if program, err := exec.LookPath(p.name); err == nil {
		return program
	}
	for _, program := range p.looked {
		if _, err := os.Stat(program); err == nil {
			return program
		}
	}
	if p.debian && os.Getenv("MINTMARK_REQUIRE_CLIENTS") == "1" {
		t.Fatalf("%s is missing: apt-get install %s", p.name, p.name)
	}
	t.Skipf("%s is missing", p.name)
	return ""
}

// run starts it between an issuer and a service, and returns its address. Pairs of old and new
// text change its configuration.
func (p proxy) run(t *testing.T, program, issuer, service string, changes ...string) string {
	t.Helper()
	dir, here := t.TempDir(), free(t)
	if err := os.CopyFS(dir, os.DirFS(p.name)); err != nil {
		t.Fatal(err)
	}
	// The addresses, as each writes them.
	swap := changes
	for port, address := range map[string]string{"8080": issuer, "8081": here, "8082": service} {
		_, other, _ := strings.Cut(address, ":")
		swap = append(swap, "127.0.0.1:"+port, address, "http://:"+port, "http://:"+other, "port_value: "+port, "port_value: "+other)
	}
	for _, name := range []string{"nginx.conf", "Caddyfile", "traefik.yaml", "routes.yaml", "envoy.yaml"} {
		name = filepath.Join(dir, name)
		text, err := os.ReadFile(name)
		if err != nil {
			continue // another's
		}
		if err := os.WriteFile(name, []byte(strings.NewReplacer(swap...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// nginx lays down its rights if it is root: then its workers must still find the site.
	for _, name := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(program, p.args...)
	command.Dir = dir
	return start(t, command, here, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
}
